#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py BUILD_FOLDER: lines run by the tests, per source folder, from gcc's coverage data (tests themselves left out)."""

import collections
import json
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))


def main() -> int:
    build = os.path.realpath(sys.argv[1])
    data = [os.path.join(d, f) for d, _, files in os.walk(build) for f in files if f.endswith(".gcda")]
    lines = collections.defaultdict(dict)  # source file -> line -> run at least once
    for path in data:
        done = subprocess.run(["gcov", "--json-format", "--stdout", path], capture_output=True, cwd=build, check=True)
        for document in done.stdout.splitlines():
            for entry in json.loads(document)["files"]:
                name = os.path.relpath(os.path.realpath(os.path.join(build, entry["file"])), ROOT)
                if not name.startswith(("src/", "plugins/")) or name.endswith("_test.cc") or "/testing/" in name:
                    continue
                for line in entry["lines"]:
                    number = line["line_number"]
                    lines[name][number] = lines[name].get(number, False) or line["count"] > 0
    folders = collections.defaultdict(lambda: [0, 0])
    for name, hits in lines.items():
        for key in (os.path.dirname(name), "total"):
            folders[key][0] += sum(hits.values())
            folders[key][1] += len(hits)
    for key in sorted(folders, key=lambda k: (k == "total", k)):
        run, total = folders[key]
        print(f"{key:32} {run:6} / {total:6} lines  {100 * run / total:5.1f} %")
    return 0 if folders else 1


if __name__ == "__main__":
    sys.exit(main())
