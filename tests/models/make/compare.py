# SPDX-License-Identifier: Apache-2.0
"""What making the fixture models anew has changed: compare.py BEFORE AFTER FILE... (two copies of tests/models, paths in them).

Checkpoints, tokenizers and configs must be the same bytes. Answers (golden*, test.json, tokenizer_golden.json) may differ in their last
digits, as processors do: by at most 1e-5 of the largest value of a tensor or list. Says how far each file is off; exit status 1 when one
is too far or not of the kind that may differ.
"""
import json
import pathlib
import sys

import numpy
from safetensors import safe_open

ALLOWED = 1e-5


def is_answer(path):
    return path.name.startswith("golden") or path.name in ("test.json", "tokenizer_golden.json")


def distance(before, after):
    """The largest difference as a part of the largest value; infinite when anything else differs."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return float("inf")
    if before.dtype.kind != "f":
        return 0.0 if numpy.array_equal(before, after) else float("inf")
    if before.size == 0:
        return 0.0
    return float(numpy.abs(before - after).max()) / max(1.0, float(numpy.abs(before).max()))


def of_tensors(before, after):
    with safe_open(before, "numpy") as old, safe_open(after, "numpy") as new:
        if sorted(old.keys()) != sorted(new.keys()):
            return float("inf")
        return max((distance(old.get_tensor(key), new.get_tensor(key)) for key in old.keys()), default=0.0)


def of_json(old, new):
    """Lists of numbers are compared as tensors, everything else exactly."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        return max((of_json(old[key], new[key]) for key in old), default=0.0)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        try:
            return distance(numpy.array(old, dtype=float), numpy.array(new, dtype=float))
        except (TypeError, ValueError):
            return max((of_json(a, b) for a, b in zip(old, new)), default=0.0)
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) / max(1.0, abs(old))
    return 0.0 if old == new else float("inf")


def main():
    before, after = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    failed = False
    for name in sys.argv[3:]:
        old, new = before / name, after / name
        if not old.exists() or not new.exists():
            what, good = "is new" if new.exists() else "is gone", False
        elif not is_answer(new):
            what, good = "differs, and is no file of answers", False
        else:
            apart = of_tensors(old, new) if new.suffix == ".safetensors" else of_json(json.loads(old.read_text()), json.loads(new.read_text()))
            good = apart <= ALLOWED
            what = f"answers differ by {apart:.1e} of the largest value, {ALLOWED:.0e} is allowed"
        print(f"  {name}: {what}")
        failed = failed or not good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
