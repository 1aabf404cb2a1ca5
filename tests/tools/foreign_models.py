#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models that mlOS does not convert natively, with their frameworks' answers: foreign_models.py tensorflow|transformers OUT_FOLDER, run by the
fall-back's Python that has the framework. Writes the models and answers.json, {model: {"inputs": [value of each input, in order],
"outputs": [value of each output]}}; everything has one seed.
"""
import json
import pathlib
import sys


def tensorflow(out):
    import numpy as np
    import tensorflow as tf
    tf.keras.utils.set_random_seed(7)

    class Net(tf.Module):
        def __init__(self):
            self.weight = tf.Variable(tf.random.normal([4, 3]))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.nn.softmax(x @ self.weight)}

    random = np.random.default_rng(7)
    rows = random.standard_normal((3, 4)).astype(np.float32)
    net = Net()
    tf.saved_model.save(net, str(out / "saved"), signatures=net.__call__)
    picture = tf.keras.Input((8, 8, 1))
    x = tf.keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(picture)
    x = tf.keras.layers.BatchNormalization()(x)
    model = tf.keras.Model(picture, tf.keras.layers.Dense(3)(tf.keras.layers.Flatten()(x)))
    model.save(out / "net.keras")
    (out / "net.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    pictures = random.standard_normal((1, 8, 8, 1)).astype(np.float32)
    answer = [model(pictures).numpy().tolist()]
    return {"saved": {"inputs": [rows.tolist()], "outputs": [net(rows)["y"].numpy().tolist()]},
            "net.keras": {"inputs": [pictures.tolist()], "outputs": answer},
            "net.tflite": {"inputs": [pictures.tolist()], "outputs": answer}}


def transformers(out):
    import torch
    import transformers
    torch.manual_seed(7)
    config = transformers.RoFormerConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                                         max_position_embeddings=32)
    model = transformers.RoFormerModel(config).eval()
    model.save_pretrained(out / "roformer")
    given = {"input_ids": torch.tensor([[3, 17, 42, 8, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1, 0]]),
             "token_type_ids": torch.tensor([[0, 0, 1, 1, 0]])}
    with torch.no_grad():
        answer = model(**given).last_hidden_state
    return {"roformer": {"inputs": {name: value.tolist() for name, value in given.items()}, "outputs": [answer.tolist()]}}


def main():
    framework, out = sys.argv[1], pathlib.Path(sys.argv[2])
    answers = {"tensorflow": tensorflow, "transformers": transformers}[framework](out)
    (out / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
