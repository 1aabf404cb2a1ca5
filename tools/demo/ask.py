# SPDX-License-Identifier: Apache-2.0
"""Asks the three models of the demo over HTTP and checks the answers: ask.py ENDPOINT EMBEDDING CLASSIFIER LANGUAGE.

Exits with 1 when an answer is not what the demo promises. Standard library only.
"""
import json
import math
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from digit import TEST_SET, pixels

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/convert/minilm_golden.json"
MAX_DIFFERENCE = 1e-5
MIN_ACCURACY = 0.95

failures = []


def check(holds, text):
    print(f"  {'ok  ' if holds else 'FAIL'}  {text}")
    if not holds:
        failures.append(text)


def ask(endpoint, model, body):
    url = f"{endpoint}/models/{urllib.parse.quote(model, safe='')}/inference"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
    answer["seconds"] = time.perf_counter() - start
    return answer


def rows(output):
    """An output's flat data as a list of rows."""
    width = output["shape"][-1]
    return [output["data"][i : i + width] for i in range(0, len(output["data"]), width)]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def ask_embedding(endpoint, model):
    print(f"Sentence embeddings: {model}")
    texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Interest rates rose by half a percent."]
    answer = ask(endpoint, model, {"inputs": texts})
    vectors = rows(answer["outputs"]["sentence_embedding"])
    similar, unrelated = cosine(vectors[0], vectors[1]), cosine(vectors[0], vectors[2])
    for text, score in zip(texts[1:], (similar, unrelated)):
        print(f"        {score:6.3f}  {texts[0]!r} ~ {text!r}")
    check(similar > unrelated + 0.2, "two similar sentences score higher than two unrelated ones")
    golden = json.loads(GOLDEN.read_text())["sentences"]
    answer = ask(endpoint, model, {"inputs": [case["text"] for case in golden]})
    vectors = rows(answer["outputs"]["sentence_embedding"])
    worst = max(abs(x - y) for case, got in zip(golden, vectors) for x, y in zip(case["embedding"], got))
    check(worst <= MAX_DIFFERENCE, f"{len(golden)} vectors equal PyTorch's: largest difference {worst:.1e}")


def ask_classifier(endpoint, model):
    print(f"Image classifier: {model}")
    test_set = json.loads(TEST_SET.read_text())
    answer = ask(endpoint, model, {"image": [pixels(image) for image in test_set["images"]]})
    predicted = [row.index(max(row)) for row in rows(answer["outputs"]["logits"])]
    right = sum(p == label for p, label in zip(predicted, test_set["labels"]))
    accuracy = right / len(predicted)
    check(accuracy >= MIN_ACCURACY, f"{right} of {len(predicted)} test images right: {accuracy:.1%}")
    print(f"        {len(predicted)} images in one request: {answer['seconds'] * 1e3:.1f} ms")


def ask_language_model(endpoint, model):
    print(f"Language model: {model}")
    for left, right in ((23, 45), (8, 7), (64, 19)):
        answer = ask(endpoint, model, {"prompt": f"{left}+{right}=", "max_tokens": 8, "temperature": 0})
        check(answer["text"].strip() == str(left + right), f"{left}+{right}={answer['text'].strip()}")
    print(f"        {answer['tokens_generated']} tokens in {answer['seconds'] * 1e3:.1f} ms")


if __name__ == "__main__":
    core, embedding, classifier, language = sys.argv[1:]
    ask_embedding(core, embedding)
    ask_classifier(core, classifier)
    ask_language_model(core, language)
    sys.exit(1 if failures else 0)
