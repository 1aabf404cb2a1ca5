# SPDX-License-Identifier: Apache-2.0
"""Writes minilm_golden.json: sentences and the vectors that sentence-transformers (PyTorch, CPU, float32) gives for them.

usage: make_minilm_golden.py MODEL_FOLDER    (the folder of all-MiniLM-L6-v2; needs tests/models/requirements-torch.lock)
"""

import json
import pathlib
import sys

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

SENTENCES = [
    "A cat sits on the mat.",
    "A kitten is resting on a rug.",
    "The central bank raised interest rates by half a point.",
    "",
    "Größe, naïve café; 東京タワー 🙂 don't-stop",
    "the quick brown fox jumps over the lazy dog " * 40,
]


def main():
    torch.set_num_threads(1)
    pipeline = SentenceTransformer(sys.argv[1], device="cpu", model_kwargs={"attn_implementation": "eager"})
    assert pipeline.max_seq_length == 256
    cases = []
    for text in SENTENCES:
        tokens = pipeline.tokenize([text])
        vector = pipeline.encode([text], batch_size=1)[0].astype(np.float32)
        cases.append({"text": text, "input_ids": tokens["input_ids"][0].tolist(),
                      "embedding": [float(str(v)) for v in vector]})
    out = pathlib.Path(__file__).with_name("minilm_golden.json")
    out.write_text("{\"sentences\": [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]}\n")


if __name__ == "__main__":
    main()
