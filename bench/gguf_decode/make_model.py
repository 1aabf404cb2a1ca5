# SPDX-License-Identifier: Apache-2.0
"""A llama-architecture model with random weights, for measuring speed: make_model.py FILE TYPE LAYERS WIDTH FFN VOCABULARY.

Fixed seed: the same arguments give the same file. The end-of-text token's row is zero, so that greedy decoding of random logits
never takes it and every run makes as many tokens as it is asked for.
"""
import os
import sys

import gguf
import numpy as np

HEAD_WIDTH = 64
END = 2


def main():
    path, kind = sys.argv[1:3]
    layers, width, ffn, vocabulary = map(int, sys.argv[3:7])
    kv_width = width // 4
    quantization = gguf.GGMLQuantizationType[kind]
    random = np.random.default_rng(20260101)
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(width // HEAD_WIDTH)
    writer.add_head_count_kv(kv_width // HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    for i in range(len(tokens), vocabulary):
        tokens.append(f"\u2581w{i}")
        types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(vocabulary)])
    writer.add_token_types(types)

    def matrix(name, rows, columns, zero_row=None):
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        if zero_row is not None:
            values[zero_row] = 0
        writer.add_tensor(name, gguf.quants.quantize(values, quantization), raw_dtype=quantization)

    def ones(name):
        writer.add_tensor(name, np.ones(width, dtype=np.float32))

    matrix("token_embd.weight", vocabulary, width, END)
    ones("output_norm.weight")
    for i in range(layers):
        ones(f"blk.{i}.attn_norm.weight")
        matrix(f"blk.{i}.attn_q.weight", width, width)
        matrix(f"blk.{i}.attn_k.weight", kv_width, width)
        matrix(f"blk.{i}.attn_v.weight", kv_width, width)
        matrix(f"blk.{i}.attn_output.weight", width, width)
        ones(f"blk.{i}.ffn_norm.weight")
        matrix(f"blk.{i}.ffn_gate.weight", ffn, width)
        matrix(f"blk.{i}.ffn_up.weight", ffn, width)
        matrix(f"blk.{i}.ffn_down.weight", width, ffn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


if __name__ == "__main__":
    main()
