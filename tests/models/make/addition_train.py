# SPDX-License-Identifier: Apache-2.0
"""Trains tests/models/addition: a llama-architecture model that adds two numbers below 100.

Character-level vocabulary with SentencePiece byte tokens, so that llama.cpp and Hugging Face tokenize it alike. It also answers
in ChatML and counts ("count to 12:"), which gives tests long outputs to stream, stop and cancel. Writes the Hugging Face
layout; addition_export.py makes the GGUF files and the goldens from it.

One thread; about ten minutes on an idle core. Deterministic for one instruction set, which make_all.sh pins.
"""
import json
import os
import pathlib
import random
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import addition_text as text

OUT = pathlib.Path(__file__).resolve().parent.parent / "addition"
SEED = 20240603
STEPS = int(os.environ.get("STEPS", "3500"))


def model_config():
    return LlamaConfig(
        vocab_size=len(text.TOKENS), hidden_size=64, intermediate_size=192, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, bos_token_id=text.BOS, eos_token_id=text.EOS, pad_token_id=None,
        attention_bias=False, mlp_bias=False, initializer_range=0.06)


def collate(samples):
    """(ids, labels), right padded; only answers are learned."""
    width = max(len(p) + len(a) for p, a in samples)
    ids = torch.zeros(len(samples), width, dtype=torch.long)
    labels = torch.full((len(samples), width), -100)
    for row, (prompt, answer) in enumerate(samples):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt):end] = torch.tensor(answer)
    return ids, labels


def batch_for(step, pairs, rng):
    kind = step % 6
    if kind == 5:
        return collate([text.count_sample(rng.randint(1, text.LAST_COUNT)) for _ in range(24)])
    if kind in (1, 3):
        return collate([text.chat_sample(*rng.choice(pairs), rng) for _ in range(96)])
    return collate([text.raw_sample(*rng.choice(pairs)) for _ in range(256)])


@torch.no_grad()
def complete(model, prompts, length):
    """Greedy answers of equally long prompts, `length` tokens each."""
    ids = torch.tensor(prompts)
    for _ in range(length):
        ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[:, len(prompts[0]):].tolist()


def exact_matches(model, samples):
    """How many prompts get exactly their answer, end mark included."""
    groups = {}
    for prompt, answer in samples:
        groups.setdefault(len(prompt), []).append((prompt, answer))
    right = 0
    for group in groups.values():
        for start in range(0, len(group), 250):
            part = group[start:start + 250]
            answers = complete(model, [p for p, _ in part], max(len(a) for _, a in part))
            right += sum(got[:len(want)] == want for got, (_, want) in zip(answers, part))
    return right


def accuracies(model, held_out):
    rng = random.Random(SEED + 1)
    count = [text.count_sample(n) for n in range(1, text.LAST_COUNT + 1)]
    return {
        "completion": exact_matches(model, [text.raw_sample(*p) for p in held_out]) / len(held_out),
        "chat": exact_matches(model, [text.chat_sample(*p, rng) for p in held_out]) / len(held_out),
        "counting": exact_matches(model, count) / len(count),
    }


def train(pairs, held_out):
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    model = LlamaForCausalLM(model_config())
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS, pct_start=0.05)
    begin = time.monotonic()
    for step in range(STEPS):
        ids, labels = batch_for(step, pairs, rng)
        logits = model(ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 500 == 0 or step in (8, 100):
            right = exact_matches(model, [text.raw_sample(*p) for p in held_out[:250]])
            print(f"step {step} loss {loss.item():.4f} held out {right}/250, {time.monotonic() - begin:.0f} s", flush=True)
    return model.eval()


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    pairs, held_out = text.split_pairs(SEED)
    model = train(pairs, held_out)
    # The files hold f16, so f16 is what is measured.
    model = model.half().float()
    result = accuracies(model, held_out)
    print(result)
    OUT.mkdir(exist_ok=True)
    model.half().save_pretrained(OUT)
    (OUT / "model.safetensors").chmod(0o644)
    (OUT / "metrics.json").write_text(json.dumps({
        "exact_match_held_out": result, "held_out_pairs": len(held_out), "train_pairs": len(pairs), "steps": STEPS,
        "seed": SEED}, indent=2) + "\n")
    assert result["completion"] >= 0.98, result


if __name__ == "__main__":
    main()
