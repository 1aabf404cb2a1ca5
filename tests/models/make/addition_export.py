# SPDX-License-Identifier: Apache-2.0
"""From tests/models/addition (SafeTensors) writes its tokenizer, its GGUF files and the framework's answers.

model-f16.gguf, model-q8_0.gguf   llama architecture, tokenizer and chat template inside
tokenizer.json, config.json ...   the Hugging Face side of the same vocabulary
golden.json                       greedy answers, first-step logits, tokenizer ids, held-out accuracy per file
"""
import json
import pathlib
import random

import gguf
import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import AutoTokenizer, LlamaForCausalLM

import addition_text as text
from addition_train import SEED, accuracies, complete

OUT = pathlib.Path(__file__).resolve().parent.parent / "addition"

TOKENIZER_TEXTS = [
    "23+45=", "7+5=", "What is 12 + 34?", "count to 12:", "", " ", "  two  spaces ", "a\nb\tc", "héllo", "中国", "🙂", "</s>", "<s>", "<0x41>",
    "<|im_start|>user\n1+1=<|im_end|>\n<|im_start|>assistant\n", "~!@#$%^&*()_+{}|:\"<>?", "\u2581", "\u0000", "x" * 40,
]
PROMPTS = ["23+45=", "7+5=", "99+99=", "0+0=", "50+50=", "38+67=", "1+99=", "64+8=", "count to 12:", "count to 30:"]
CHATS = [
    [{"role": "user", "content": "What is 23+45?"}],
    [{"role": "system", "content": "You add numbers."}, {"role": "user", "content": "38 + 67"}],
    [{"role": "user", "content": "What is 5 + 9?"}],
]


def hugging_face_tokenizer():
    """The same vocabulary for Hugging Face: BPE without merges, byte fallback, `<s>` in front."""
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(text.TOKENS)}, [], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", text.SPACE)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(text.SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", text.BOS)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", text.IM_START, text.IM_END])
    tokenizer.save(str(OUT / "tokenizer.json"), pretty=False)
    (OUT / "tokenizer_config.json").write_text(json.dumps({
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "chat_template": text.TEMPLATE,
        "clean_up_tokenization_spaces": False, "eos_token": "</s>", "model_max_length": 512,
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}, indent=2) + "\n")
    (OUT / "special_tokens_map.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, indent=2) + "\n")
    return tokenizer


def hub_config():
    """config.json with the keys that hub files of this architecture have had since the first of them."""
    keys = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": text.BOS,
        "eos_token_id": text.EOS, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.06,
        "intermediate_size": 192, "max_position_embeddings": 512, "mlp_bias": False, "model_type": "llama",
        "num_attention_heads": 4, "num_hidden_layers": 4, "num_key_value_heads": 2, "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "torch_dtype": "float16", "use_cache": True, "vocab_size": len(text.TOKENS)}
    (OUT / "config.json").write_text(json.dumps(keys, indent=2) + "\n")
    (OUT / "generation_config.json").write_text(json.dumps(
        {"bos_token_id": text.BOS, "eos_token_id": [text.EOS, text.ID[text.IM_END]]}, indent=2) + "\n")


def interleaved(weight, heads):
    """Rotary halves side by side (Hugging Face) to rotary pairs (GGUF)."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_tensors(weights):
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    for layer in range(4):
        for source, target in names.items():
            tensor = weights[f"model.layers.{layer}.{source}.weight"]
            if target in ("attn_q", "attn_k"):
                tensor = interleaved(tensor, 4 if target == "attn_q" else 2)
            yield f"blk.{layer}.{target}.weight", tensor
    yield "output_norm.weight", weights["model.norm.weight"]
    yield "output.weight", weights["lm_head.weight"]


def write_tokenizer(writer):
    kinds = gguf.TokenType
    specials = {text.UNK: kinds.UNKNOWN, text.BOS: kinds.CONTROL, text.EOS: kinds.CONTROL,
                text.ID[text.IM_START]: kinds.CONTROL, text.ID[text.IM_END]: kinds.CONTROL}
    types = [specials.get(i, kinds.BYTE if text.FIRST_BYTE <= i < text.FIRST_BYTE + 256 else kinds.NORMAL)
             for i in range(len(text.TOKENS))]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(text.TOKENS)
    writer.add_token_scores([0.0 if t != kinds.NORMAL else -float(i) for i, t in enumerate(types)])
    writer.add_token_types(types)
    writer.add_bos_token_id(text.BOS)
    writer.add_eos_token_id(text.EOS)
    writer.add_unk_token_id(text.UNK)
    writer.add_eot_token_id(text.ID[text.IM_END])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(text.TEMPLATE)


def write_gguf(path, weights, quantised):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(text.NAME)
    writer.add_description("Adds two numbers below 100, counts, speaks ChatML; a test model.")
    writer.add_license("apache-2.0")
    writer.add_size_label("243K")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_block_count(4)
    writer.add_feed_forward_length(192)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(text.TOKENS))
    write_tokenizer(writer)
    for name, tensor in gguf_tensors(weights):
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor.astype(np.float32))
        elif quantised:
            data = gguf.quants.quantize(tensor.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, tensor.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def with_q8_weights(model):
    """The model with every matrix rounded as Q8_0 rounds it."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                kind = gguf.GGMLQuantizationType.Q8_0
                blocks = gguf.quants.quantize(parameter.numpy(), kind)
                parameter.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, kind)))
    return model


def greedy(model, ids, limit=160):
    """Greedy ids up to and without the end mark, and the logits that chose the first."""
    ends = {text.EOS, text.ID[text.IM_END]}
    with torch.no_grad():
        first = model(torch.tensor([ids])).logits[0, -1]
        out = []
        while len(out) < limit:
            token = complete(model, [ids + out], 1)[0][0]
            if token in ends:
                return out, token, first
            out.append(token)
    return out, None, first


def short(values):
    return [float(str(v)) for v in values.numpy().astype(np.float32)]


def goldens(model, tokenizer):
    completions, chats, tokens = [], [], []
    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt).ids
        out, end, first = greedy(model, ids)
        completions.append({"prompt": prompt, "ids": ids, "text": text.decode(out), "output_ids": out, "end_id": end,
                            "first_logits": short(first)})
    for messages in CHATS:
        prompt = text.chat(messages)
        ids = tokenizer.encode(prompt).ids
        out, end, first = greedy(model, ids)
        chats.append({"messages": messages, "prompt": prompt, "ids": ids, "text": text.decode(out), "end_id": end})
    for sample in TOKENIZER_TEXTS:
        tokens.append({"text": sample, "ids": tokenizer.encode(sample, add_special_tokens=False).ids})
    return completions, chats, tokens


def check_tokenizer(tokenizer):
    """Training and Hugging Face tokenize alike, and the template renders to what was trained."""
    automatic = AutoTokenizer.from_pretrained(str(OUT))
    for sample in PROMPTS + ["What is 1 + 2?", "a\nb", "héllo 中"]:
        assert tokenizer.encode(sample).ids == [text.BOS] + text.encode(sample) == automatic(sample)["input_ids"], sample
    for messages in CHATS:
        assert automatic.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == text.chat(messages)
        assert tokenizer.encode(text.chat(messages)).ids == [text.BOS] + text.encode_special(text.chat(messages))


def main():
    torch.set_num_threads(1)
    tokenizer = hugging_face_tokenizer()
    hub_config()
    check_tokenizer(tokenizer)
    weights = load_file(str(OUT / "model.safetensors"))
    write_gguf(OUT / "model-f16.gguf", weights, quantised=False)
    write_gguf(OUT / "model-q8_0.gguf", weights, quantised=True)

    load = lambda: LlamaForCausalLM.from_pretrained(OUT, dtype=torch.float32).eval()
    _, held_out = text.split_pairs(SEED)
    model = load()
    completions, chats, tokens = goldens(model, tokenizer)
    accuracy = {"f16": accuracies(model, held_out), "q8_0": accuracies(with_q8_weights(load()), held_out)}
    print(json.dumps(accuracy))
    sample = [[a, b] for a, b in random.Random(1).sample(held_out, 50)]
    lines = lambda cases: "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"
    (OUT / "golden.json").write_text(
        '{"completions": %s,\n"chats": %s,\n"tokens": %s,\n"held_out_pairs": %s,\n"exact_match_held_out": %s}\n' % (
            lines(completions), lines(chats), lines(tokens), json.dumps(sample), json.dumps(accuracy)))


if __name__ == "__main__":
    main()
