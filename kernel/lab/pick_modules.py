#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""pick_modules.py FROM TO NAME...: copies modules of a kernel, and those they need, as TO/NN-name.ko in the order to load them.

FROM is searched for name.ko and name.ko.xz. A name that ends in ? may be missing: other kernels have that built in.
"""
import lzma
import pathlib
import re
import sys


def main() -> int:
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    files = {p.name.split(".ko")[0].replace("-", "_"): p for p in source.rglob("*.ko*")}
    order: dict[str, bytes] = {}

    def load(name: str) -> None:
        if name in order:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in filter(None, needs[1].decode().split(",") if needs else []):
            load(needed.replace("-", "_"))
        order[name] = content

    for wanted in sys.argv[3:]:
        name = wanted.rstrip("?")
        if name in files:
            load(name)
        elif wanted == name:
            print(f"error: {source} has no module {name}", file=sys.stderr)
            return 1
    target.mkdir(parents=True)
    for number, (name, content) in enumerate(order.items()):
        (target / f"{number:02}-{name}.ko").write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
