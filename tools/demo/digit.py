# SPDX-License-Identifier: Apache-2.0
"""Prints the request body for one image of the digits test set: digit.py INDEX."""
import json
import pathlib
import sys

TEST_SET = pathlib.Path(__file__).resolve().parents[2] / "tests/models/digits/test.json"


def pixels(image):
    """One 8x8 image of 0..16 as the classifier wants it: [1, 8, 8] of 0..1."""
    return [[[value / 16 for value in row] for row in image]]


if __name__ == "__main__":
    images = json.loads(TEST_SET.read_text())["images"]
    print(json.dumps({"image": [pixels(images[int(sys.argv[1])])]}))
