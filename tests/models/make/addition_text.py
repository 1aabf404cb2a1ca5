# SPDX-License-Identifier: Apache-2.0
"""Vocabulary, chat template and training text of the addition model; shared by training and by the GGUF writer."""
import random
import re

NAME = "mlos-addition"
UNK, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3
SPACE = "\u2581"  # how SentencePiece writes a space
CHARS = [SPACE] + [chr(c) for c in range(33, 127)]
IM_START, IM_END = "<|im_start|>", "<|im_end|>"

TOKENS = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + CHARS + [IM_START, IM_END]
ID = {token: i for i, token in enumerate(TOKENS)}

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

PHRASES = ["{a}+{b}=", "{a} + {b}", "What is {a}+{b}?", "What is {a} + {b}?"]
SYSTEMS = ["", "", "You add numbers."]
LAST_COUNT = 30


def encode(text):
    """Plain text, one token per character, bytes where the vocabulary has no character. Adds nothing."""
    ids = []
    for char in text:
        token = ID.get(SPACE if char == " " else char)
        ids += [token] if token is not None else [FIRST_BYTE + b for b in char.encode()]
    return ids


def encode_special(text):
    """As encode, with the two chat marks as the single tokens they are."""
    ids = []
    for part in re.split(f"({re.escape(IM_START)}|{re.escape(IM_END)})", text):
        ids += [ID[part]] if part in (IM_START, IM_END) else encode(part)
    return ids


def decode(ids):
    out = bytearray()
    for i in ids:
        token = TOKENS[i]
        if FIRST_BYTE <= i < FIRST_BYTE + 256:
            out.append(i - FIRST_BYTE)
        elif i >= FIRST_BYTE + 256 and token not in (IM_START, IM_END):
            out += (" " if token == SPACE else token).encode()
    return out.decode("utf-8", "replace")


def chat(messages):
    """TEMPLATE with add_generation_prompt."""
    return "".join(f"{IM_START}{m['role']}\n{m['content']}{IM_END}\n" for m in messages) + f"{IM_START}assistant\n"


def counting(last):
    return "".join(f" {i}" for i in range(1, last + 1))


def raw_sample(a, b):
    return [BOS] + encode(f"{a}+{b}="), encode(str(a + b)) + [EOS]


def chat_sample(a, b, rng):
    system = rng.choice(SYSTEMS)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": rng.choice(PHRASES).format(a=a, b=b)})
    return [BOS] + encode_special(chat(messages)), encode(str(a + b)) + [ID[IM_END]]


def count_sample(last):
    return [BOS] + encode(f"count to {last}:"), encode(counting(last)) + [EOS]


def split_pairs(seed):
    """All 10,000 pairs, 1,000 of them held out: (train, held_out)."""
    pairs = [(a, b) for a in range(100) for b in range(100)]
    random.Random(seed).shuffle(pairs)
    return pairs[1000:], pairs[:1000]
