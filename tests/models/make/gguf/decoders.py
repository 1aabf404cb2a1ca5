# SPDX-License-Identifier: Apache-2.0
"""Writes tests/models/gguf: tiny decoder-only language models as Hugging Face lays them out, with transformers' logits and the
tokenizers library's ids, for the conversion to GGUF. tests/gguf/decoder_golden_test.cc runs every folder.

A folder holds config.json, weights (one file or shards), tokenizer.json, tokenizer_config.json, golden.json (texts and their ids) and
golden.safetensors (`<n>/ids`, `<n>/logits`: the whole prompt, every position).
"""
import json
import math
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from words import WORDS  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parents[2] / "gguf"
ROWS = 330
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"
CORPUS = [" ".join(WORDS[i:i + 12]) for i in range(0, len(WORDS), 5)] + ["I'm he's we'll 2024 100 12,345", "Grüße äöü naïve", "a\n\nb  c"]
TEXTS = ["", "hello", "hello world", " hello  world ", "I'm sure he's here; we'll see.", "12345 and 6.789", "Grüße, naïve café", "日本語 текст",
         "emoji 🙂👍🏽 end", "line one\nline two\n\n  indented\ttab", "<|user|>hi<|assistant|> there", "a<|user|>  b", "x = f(y) + [1, 2]; // ok", "   ",
         "the the the and of the machine", "don't DON'T", "\u00a0nbsp\u3000wide"]


def byte_level(pattern, ignore_merges, specials, bos=None, nfc=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    if pattern:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=ROWS - 14, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in specials])
    if bos:
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def sentence_pieces(specials, prefix, bos="<s>", metaspace=False, rstrip=False):
    """As a SentencePiece vocabulary looks in tokenizer.json: byte_fallback, and every way to make a token is a merge."""
    scratch = Tokenizer(models.BPE())
    scratch.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    scratch.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=60, show_progress=False))
    learned = [t for t, _ in sorted(scratch.get_vocab().items(), key=lambda item: item[1])]
    control = ["<unk>", "<s>", "</s>"] if bos == "<s>" else ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokens = control + [f"<0x{i:02X}>" for i in range(256)]
    single = sorted({c for t in learned for c in t} | {"▁"})
    pieces = [t for t in learned if len(t) > 1]
    vocabulary = {t: i for i, t in enumerate(tokens + pieces[:ROWS - len(tokens) - len(single) - 6] + single)}
    merges = []
    for token in [t for t in pieces if t in vocabulary]:
        splits = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in vocabulary and token[i:] in vocabulary]
        merges += sorted(splits, key=lambda s: (len(s[0]), len(s[1])))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    elif prefix:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False, rstrip=rstrip) for t in specials])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A $B",
                                                             special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                shift = 0 if "gemma" in type(model).__name__.lower() else 1
                parameter.copy_(shift + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * noise)
            elif "embed" in name:
                parameter.copy_(0.6 * noise)
            else:
                parameter.copy_(noise * (1.3 / parameter.shape[1] ** 0.5))
    return model.eval()


def write(name, config, tokenizer, tokenizer_config, dtype=torch.float32, shards=1, rename=None, extra=None, nest=None, drop=()):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = randomise(transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager"), len(name))
    state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    # What the file holds is what is asked for logits.
    state = {k: v.to(dtype) for k, v in state.items()}
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)

    said = json.loads(config.to_json_string(use_diff=True))
    said.update(architectures=[type(model).__name__], model_type=config.model_type)
    for key in ("transformers_version", *drop):
        said.pop(key, None)
    if nest:
        said = nest(said)
    (folder / "config.json").write_text(json.dumps(dict(sorted(said.items())), indent=1) + "\n")
    state = {(rename(k) if rename else k): v.contiguous() for k, v in state.items()} | (extra or {})
    names = sorted(state)
    if shards == 1:
        save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
    else:
        where = {}
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            part = names[i::shards]
            save_file({k: state[k] for k in part}, str(folder / file), metadata={"format": "pt"})
            where.update({k: file for k in part})
        index = {"metadata": {"total_size": sum(v.nbytes for v in state.values())}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")

    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=1) + "\n")
    golden = {"tokens": [{"text": t, "ids": tokenizer.encode(t).ids} for t in TEXTS]}
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    answers = {}
    for i, text in enumerate(["hello world, the machine", "I"]):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        answers[f"{i}/ids"] = ids[0].to(torch.int32)
        answers[f"{i}/logits"] = logits[0].float()
    save_file(answers, str(folder / "golden.safetensors"), metadata={"format": "pt"})
    for path in folder.iterdir():
        path.chmod(0o644)
    print(name, sum(p.stat().st_size for p in folder.iterdir()), "bytes, largest logit", float(answers["0/logits"].abs().max()))


def main():
    common = dict(vocab_size=ROWS, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
                  max_position_embeddings=128)
    chat = ["<|user|>", "<|assistant|>"]
    llama3 = byte_level(LLAMA3, True, ["<|begin|>", "<|end|>", *chat], bos="<|begin|>")
    qwen = byte_level(QWEN2, False, ["<|endoftext|>", "<|im_end|>", *chat], nfc=True)
    spm = sentence_pieces(chat, prefix=True)
    gemma = sentence_pieces(chat, prefix=False, bos="<bos>")
    llama3_config = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": TEMPLATE}
    qwen_config = {"add_bos_token": False, "bos_token": None, "eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>", "chat_template": [
        {"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "tools"}]}
    spm_config = {"add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": TEMPLATE}
    gemma_config = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}

    write("llama3-scaled", transformers.LlamaConfig(**common, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}), llama3, llama3_config)
    write("llama2-biases-bf16-shards", transformers.LlamaConfig(**common, attention_bias=True, mlp_bias=True, tie_word_embeddings=True), spm, spm_config,
          dtype=torch.bfloat16, shards=2)
    write("mistral-f16", transformers.MistralConfig(**common, head_dim=10, sliding_window=64), sentence_pieces(chat, False, metaspace=True), spm_config,
          dtype=torch.float16)
    write("qwen2-yarn", transformers.Qwen2Config(**common, tie_word_embeddings=True, rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}), qwen, qwen_config)
    write("qwen3", transformers.Qwen3Config(**common, head_dim=8, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), qwen, qwen_config)
    phi3 = sentence_pieces(["<|endoftext|>", *chat], prefix=True, rstrip=True)
    write("phi3", transformers.Phi3Config(**common, pad_token_id=None, sliding_window=None), phi3, spm_config)
    factors = {"long_factor": [1.0, 1.5, 3.0], "short_factor": [1.0, 1.1, 1.2]}
    write("phi3-longrope", transformers.Phi3Config(**{**common, "max_position_embeddings": 600}, pad_token_id=None, original_max_position_embeddings=300, sliding_window=None,
                                                   rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **factors}), phi3, spm_config)
    write("gemma", transformers.GemmaConfig(**common, head_dim=8, hidden_activation="gelu_pytorch_tanh"), gemma, gemma_config)
    write("gemma2", transformers.Gemma2Config(**{**common, "num_hidden_layers": 3}, head_dim=8, query_pre_attn_scalar=8, sliding_window=4), gemma, gemma_config)
    gemma3 = transformers.Gemma3TextConfig(**{**common, "num_hidden_layers": 3}, head_dim=8, query_pre_attn_scalar=8, sliding_window=4,
                                           layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    write("gemma3", gemma3, gemma, gemma_config)
    write("gemma3-with-pictures", gemma3, gemma, gemma_config, dtype=torch.bfloat16,
          rename=lambda k: k.replace("model.", "language_model.model.", 1) if k.startswith("model.") else k,
          extra={"vision_tower.patch.weight": torch.ones(2, 2), "multi_modal_projector.w": torch.ones(2)},
          nest=lambda c: {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": c, "vision_config": {}})


if __name__ == "__main__":
    main()
