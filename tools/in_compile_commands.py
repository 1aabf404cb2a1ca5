#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""in_compile_commands.py BUILD_FOLDER FILE...: prints those of the files that the build compiles."""

import json
import os
import sys


def main() -> int:
    folder, *files = sys.argv[1:]
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as f:
        compiled = {os.path.realpath(entry["file"]) for entry in json.load(f)}
    for name in files:
        if os.path.realpath(name) in compiled:
            print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
