#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_summary.py FOLDER: adds up the GoogleTest XML reports in a folder into one line."""

import glob
import sys
import xml.etree.ElementTree as ET


def main() -> int:
    programs = cases = failed = skipped = 0
    for path in glob.glob(f"{sys.argv[1]}/*.xml"):
        root = ET.parse(path).getroot()
        programs += 1
        cases += int(root.get("tests", 0))
        failed += int(root.get("failures", 0)) + int(root.get("errors", 0))
        skipped += len(root.findall(".//testcase[@result='skipped']"))
    print(f"unit tests: {cases - failed - skipped} passed, {failed} failed, {skipped} skipped in {programs} programs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
