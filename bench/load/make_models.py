#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of BERT-base's and ResNet-50's shapes with random weights, for the load benchmark: make_models.py FOLDER.

Writes FOLDER/bert-base and FOLDER/resnet-50, each config.json and model.safetensors; leaves what is there alone. Standard
library only: one block of random floats is repeated, from another place for each tensor, because ONNX Runtime keeps packed weights with
the same contents once.
"""
import array
import json
import pathlib
import random
import struct
import sys

BLOCK = 1 << 19


def bert(layers=12, width=768, vocabulary=30522):
    tensors = {"embeddings.word_embeddings.weight": [vocabulary, width], "embeddings.position_embeddings.weight": [512, width],
               "embeddings.token_type_embeddings.weight": [2, width]}

    def add(name, *shape):
        tensors[name + ".weight"] = list(shape)
        tensors[name + ".bias"] = [shape[0]]

    add("embeddings.LayerNorm", width)
    add("pooler.dense", width, width)
    for i in range(layers):
        p = f"encoder.layer.{i}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            add(p + name, width, width)
        add(p + "attention.output.LayerNorm", width)
        add(p + "intermediate.dense", 4 * width, width)
        add(p + "output.dense", width, 4 * width)
        add(p + "output.LayerNorm", width)
    config = {"model_type": "bert", "architectures": ["BertModel"], "num_hidden_layers": layers, "hidden_size": width,
              "num_attention_heads": 12, "intermediate_size": 4 * width, "vocab_size": vocabulary}
    return config, tensors


def resnet(depths=(3, 4, 6, 3), widths=(256, 512, 1024, 2048)):
    tensors = {}

    def unit(name, out, inside, kernel):
        tensors[name + ".convolution.weight"] = [out, inside, kernel, kernel]
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.normalization.{leaf}"] = [out]

    unit("resnet.embedder.embedder", 64, 3, 7)
    inside = 64
    for stage, (depth, width) in enumerate(zip(depths, widths)):
        for i in range(depth):
            p = f"resnet.encoder.stages.{stage}.layers.{i}."
            if i == 0:
                unit(p + "shortcut", width, inside, 1)
            unit(p + "layer.0", width // 4, inside, 1)
            unit(p + "layer.1", width // 4, width // 4, 3)
            unit(p + "layer.2", width, width // 4, 1)
            inside = width
    tensors["classifier.1.weight"] = [1000, widths[-1]]
    tensors["classifier.1.bias"] = [1000]
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "depths": list(depths),
              "hidden_sizes": list(widths), "embedding_size": 64, "layer_type": "bottleneck", "num_channels": 3, "hidden_act": "relu",
              "id2label": {str(i): f"LABEL_{i}" for i in range(1000)}}
    return config, tensors


def count(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def write(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    # Variances must be positive; small ones keep a deep network's numbers finite.
    spread = array.array("f", (rng.uniform(-0.04, 0.04) for _ in range(BLOCK))).tobytes()
    positive = array.array("f", (rng.uniform(0.9, 1.1) for _ in range(4096))).tobytes()
    header, end = {}, 0
    for name, shape in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count(shape)]}
        end += 4 * count(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors.part", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors.items():
            is_scale = "ormalization.weight" in name or "running_var" in name or "LayerNorm.weight" in name
            block = positive if is_scale else spread
            left = 4 * count(shape)
            at = 4 * rng.randrange(len(block) // 4)
            while left:
                left -= f.write(block[at:at + left])
                at = 0
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "model.safetensors.part").rename(folder / "model.safetensors")


def main():
    root = pathlib.Path(sys.argv[1])
    for name, (config, tensors) in {"bert-base": bert(), "resnet-50": resnet()}.items():
        if not (root / name / "model.safetensors").exists():
            write(root / name, config, tensors)


if __name__ == "__main__":
    main()
