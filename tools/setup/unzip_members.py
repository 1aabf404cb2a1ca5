#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""unzip_members.py ARCHIVE FOLDER PATTERN...: unpacks the members that match, fails for a pattern that matches none."""

import fnmatch
import sys
import zipfile


def main() -> int:
    archive_path, folder, *patterns = sys.argv[1:]
    with zipfile.ZipFile(archive_path) as archive:
        for pattern in patterns:
            names = fnmatch.filter(archive.namelist(), pattern)
            if not names:
                print(f"error: {archive_path} holds nothing that matches {pattern}", file=sys.stderr)
                return 1
            for name in names:
                archive.extract(name, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
