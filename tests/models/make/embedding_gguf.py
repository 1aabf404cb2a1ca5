# SPDX-License-Identifier: Apache-2.0
"""Writes tests/models/embedding: the weights of tiny-sbert as a GGUF embedding model (bert architecture, mean pooling).

golden.json has, per text, the token ids and the mean-pooled vector before and after normalisation, by PyTorch.
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import BertModel

from words import SENTENCES

MODELS = pathlib.Path(__file__).resolve().parent.parent
SOURCE, OUT = MODELS / "tiny-sbert", MODELS / "embedding"
LAYERS = 3


def tokens_as_gguf():
    """Word starts get a phantom space, continuations lose their ##."""
    def renamed(token):
        if token.startswith("[") and token.endswith("]"):
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token
    return [renamed(t) for t in (SOURCE / "vocab.txt").read_text().splitlines()]


def write_tokenizer(writer, tokens):
    special = {"[UNK]": gguf.TokenType.UNKNOWN, **dict.fromkeys(["[PAD]", "[CLS]", "[SEP]", "[MASK]"], gguf.TokenType.CONTROL)}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([special.get(t, gguf.TokenType.NORMAL) for t in tokens])
    writer.add_token_type_count(2)
    for name, token in (("bos", "[CLS]"), ("eos", "[SEP]"), ("unk", "[UNK]"), ("sep", "[SEP]"), ("pad", "[PAD]"),
                        ("mask", "[MASK]")):
        getattr(writer, f"add_{name}_token_id")(tokens.index(token))


def tensors(weights):
    for source, target in (("word_embeddings", "token_embd"), ("position_embeddings", "position_embd"),
                           ("token_type_embeddings", "token_types")):
        yield f"{target}.weight", weights[f"embeddings.{source}.weight"]
    for kind in ("weight", "bias"):
        yield f"token_embd_norm.{kind}", weights[f"embeddings.LayerNorm.{kind}"]
    names = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
             "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
             "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
    for layer in range(LAYERS):
        for source, target in names.items():
            for kind in ("weight", "bias"):
                yield f"blk.{layer}.{target}.{kind}", weights[f"encoder.layer.{layer}.{source}.{kind}"]


def write_model():
    writer = gguf.GGUFWriter(OUT / "model-f32.gguf", "bert")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("mlos-tiny-embedding")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    tokens = tokens_as_gguf()
    writer.add_vocab_size(len(tokens))
    write_tokenizer(writer, tokens)
    for name, tensor in tensors(load_file(str(SOURCE / "model.safetensors"))):
        writer.add_tensor(name, np.ascontiguousarray(tensor, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_golden():
    model = BertModel.from_pretrained(str(SOURCE), attn_implementation="eager").eval()
    tokenizer = Tokenizer.from_file(str(SOURCE / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    floats = lambda t: [float(str(v)) for v in t.numpy()]
    cases = []
    for text in SENTENCES:
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        cases.append({"text": text, "ids": ids, "mean": floats(mean), "normalised": floats(mean / mean.norm())})
    (OUT / "golden.json").write_text('{"sentences": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]}\n")


def main():
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    write_model()
    write_golden()


if __name__ == "__main__":
    main()
