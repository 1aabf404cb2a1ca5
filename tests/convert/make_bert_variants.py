# SPDX-License-Identifier: Apache-2.0
"""Writes variants/: very small BERT checkpoints that differ where builders go wrong, with PyTorch's answers.

qa             BertForQuestionAnswering, relu, no token types
tokens         BertForTokenClassification, gelu_pytorch_tanh, one token type, another epsilon
bare_bf16      BertModel saved bare (no `bert.`), without pooler, BF16, silu
own_decoder    BertForMaskedLM whose decoder is not tied, beside a next-sentence head
modules        sentence-transformers: encoder in a folder of its own, three poolings, Dense with tanh, Normalize

Needs tests/models/requirements-torch.lock. Fixed seeds: running it again writes the same bytes.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).with_name("variants")
IDS = [[2, 7, 11, 5, 19, 3], [2, 9, 3, 0, 0, 0], [0, 0, 2, 14, 8, 3]]
MASK = [[int(i != 0) for i in row] for row in IDS]


def config(**changes):
    values = dict(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
                  max_position_embeddings=10, type_vocab_size=2, attn_implementation="eager", hidden_dropout_prob=0.0,
                  attention_probs_dropout_prob=0.0)
    return transformers.BertConfig(**{**values, **changes})


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "LayerNorm.weight" in name else 0.5 * noise)
    return model.eval()


def floats(tensor):
    walk = lambda v: [walk(x) for x in v] if isinstance(v, list) else float(str(np.float32(v)))
    return walk(tensor.detach().float().tolist())


def write(name, model, architecture, outputs, tensors=None, folder=None):
    root = OUT / name
    shutil.rmtree(root, ignore_errors=True)
    folder = root / (folder or "")
    folder.mkdir(parents=True)
    tensors = model.state_dict() if tensors is None else tensors
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, str(folder / "model.safetensors"))
    (folder / "model.safetensors").chmod(0o644)
    keep = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps")
    content = {"architectures": [architecture], "model_type": "bert", **{k: getattr(model.config, k) for k in keep}}
    if not model.config.tie_word_embeddings:
        content["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n")
    (root / "golden.json").write_text(json.dumps(
        {"cases": [{"name": name, "inputs": {"input_ids": IDS, "attention_mask": MASK},
                    "outputs": {k: floats(v) for k, v in outputs.items()}}]}) + "\n")
    return root


def run(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK))


def qa():
    model = randomise(transformers.BertForQuestionAnswering(config(hidden_act="relu")), 1)
    # type_vocab_size 0 exists only in converted checkpoints; the framework needs a row, here a row of zeros.
    with torch.no_grad():
        model.bert.embeddings.token_type_embeddings.weight.zero_()
    answer = run(model)
    model.config.type_vocab_size = 0
    tensors = {k: v for k, v in model.state_dict().items() if "token_type" not in k and "position_ids" not in k}
    write("qa", model, "BertForQuestionAnswering", {k: answer[k] for k in ("start_logits", "end_logits")}, tensors)


def tokens():
    model = randomise(transformers.BertForTokenClassification(config(
        hidden_act="gelu_pytorch_tanh", type_vocab_size=1, layer_norm_eps=1e-5, num_labels=5)), 2)
    write("tokens", model, "BertForTokenClassification", {"logits": run(model).logits})


def bare_bf16():
    model = randomise(transformers.BertModel(config(hidden_act="silu"), add_pooling_layer=False), 3).bfloat16()
    tensors = model.state_dict()
    write("bare_bf16", model, "BertModel", {"last_hidden_state": run(model.float()).last_hidden_state}, tensors)


def own_decoder():
    model = randomise(transformers.BertForPreTraining(config(tie_word_embeddings=False)), 4)
    with torch.no_grad():
        answer = run(model).prediction_logits
        tied = model.bert.embeddings.word_embeddings.weight
        assert not torch.equal(model.cls.predictions.decoder.weight, tied)
    write("own_decoder", model, "BertForPreTraining", {"logits": answer})


def modules():
    model = randomise(transformers.BertModel(config()), 5)
    hidden, mask = run(model).last_hidden_state, torch.tensor(MASK)
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
    pooling = Pooling(8, pooling_mode=("mean_sqrt_len_tokens", "weightedmean", "lasttoken"))
    dense = randomise(Dense(24, 6, activation_function=torch.nn.Tanh()), 6)
    features = {"token_embeddings": hidden, "attention_mask": mask}
    with torch.no_grad():
        for module in (pooling, dense, Normalize()):
            features = module(features)
    root = write("modules", model, "BertForMaskedLM", {"sentence_embedding": features["sentence_embedding"],
                                                      "token_embeddings": hidden}, folder="0_Transformer")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(
        {"embedding_dimension": 8, "pooling_mode": ["mean_sqrt_len_tokens", "weightedmean", "lasttoken"]}) + "\n")
    (root / "2_Dense").mkdir()
    save_file(dense.state_dict(), str(root / "2_Dense" / "model.safetensors"))
    (root / "2_Dense" / "model.safetensors").chmod(0o644)
    (root / "2_Dense" / "config.json").write_text(json.dumps(
        {"in_features": 24, "out_features": 6, "bias": True,
         "activation_function": "torch.nn.modules.activation.Tanh"}) + "\n")
    names = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
    (root / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
         for i, (path, kind) in enumerate(names)], indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for variant in (qa, tokens, bare_bf16, own_decoder, modules):
        variant()
