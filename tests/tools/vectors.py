# SPDX-License-Identifier: Apache-2.0
"""Compares numbers with a framework's: in tests by `assert_close`, by hand as `vectors.py WANT.json GOT.json [--atol X] [--rtol X]`.

The rule is the one the golden files are held to: |got - want| <= atol + rtol * max(1, max|want|), shapes equal, nothing but
finite numbers. `max|want|` is over the whole array, so that a near-zero element is not asked for more than float32 gives.
"""
import argparse
import json
import sys

import numpy as np


def difference(want, got):
    """(largest absolute difference, largest magnitude wanted, cosine of the flattened arrays)."""
    want, got = np.asarray(want, np.float64), np.asarray(got, np.float64)
    if want.shape != got.shape:
        raise ValueError(f"shapes differ: wanted {list(want.shape)}, got {list(got.shape)}")
    if not np.isfinite(got).all():
        raise ValueError(f"{int((~np.isfinite(got)).sum())} of {got.size} numbers are not finite")
    if want.size == 0:
        return 0.0, 0.0, 1.0
    norm = np.linalg.norm(want) * np.linalg.norm(got)
    cosine = float(want.ravel() @ got.ravel() / norm) if norm else float(np.array_equal(want, got))
    return float(np.abs(want - got).max()), float(np.abs(want).max()), cosine


def assert_close(want, got, atol=1e-5, rtol=1e-5, what="array"):
    worst, largest, cosine = difference(want, got)
    limit = atol + rtol * max(1.0, largest)
    assert worst <= limit, f"{what}: differs by {worst:.3g}, allowed {limit:.3g}; largest wanted {largest:.3g}, cosine {cosine:.7f}"


def cosine(first, second):
    first, second = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("want")
    parser.add_argument("got")
    parser.add_argument("--atol", type=float, default=1e-5)
    parser.add_argument("--rtol", type=float, default=1e-5)
    options = parser.parse_args()
    load = lambda path: json.load(sys.stdin if path == "-" else open(path))
    want, got = load(options.want), load(options.got)
    try:
        worst, largest, angle = difference(want, got)
        print(f"largest difference {worst:.3g}, largest wanted {largest:.3g}, cosine {angle:.7f}")
        assert_close(want, got, options.atol, options.rtol)
    except (ValueError, AssertionError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
