#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""apt_sources.py SUITE: prints this machine's Debian archive sources as one-line entries with the suite replaced.

Reads /etc/apt/sources.list and sources.list.d in both formats (one-line and deb822). Mirrors, keyrings and other
options stay; only entries for the machine's own release are taken, so security and third-party archives drop out.
"""

import glob
import os
import re
import sys

ETC_APT = os.environ.get("MLOS_ETC_APT", "/etc/apt")


def release_codename() -> str:
    with open(os.environ.get("MLOS_OS_RELEASE", "/etc/os-release"), encoding="utf-8") as f:
        match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?', f.read(), re.M)
    return match.group(1) if match else ""


def one_line_entries(text: str):
    """Yields (options, uri, suite) of every `deb` line."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)", line)
        if match:
            yield match.group(1) or "", match.group(2), match.group(3)


def deb822_entries(text: str, scratch_key):
    """Yields (options, uri, suite) of every enabled `Types: deb` stanza."""
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.M)):
        fields = {}
        for match in re.finditer(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.M):
            fields[match.group(1).lower()] = match.group(2)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip().lower() in ("no", "false"):
            continue
        key = fields.get("signed-by", "").strip()
        if "BEGIN PGP" in key:
            key = scratch_key(key)
        options = f"signed-by={','.join(key.split())}" if key else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield options, uri, suite


def inline_key_file(key: str) -> str:
    """Writes a key that stands in a deb822 stanza to a file, since one-line entries can only name one."""
    lines = [re.sub(r"^\s\.?", "", line) if line != key.splitlines()[0] else line for line in key.splitlines()]
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"mlos-archive-key-{os.getpid()}.asc")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return path


def main() -> int:
    suite = sys.argv[1]
    codename = release_codename()
    lines = []
    for path in [f"{ETC_APT}/sources.list"] + sorted(glob.glob(f"{ETC_APT}/sources.list.d/*")):
        if not os.path.isfile(path) or not path.endswith((".list", ".sources")):
            continue
        with open(path, encoding="utf-8") as f:
            text = f.read()
        entries = deb822_entries(text, inline_key_file) if path.endswith(".sources") else one_line_entries(text)
        for options, uri, entry_suite in entries:
            line = f"deb {f'[{options}] ' if options else ''}{uri} {suite} main"
            if entry_suite == codename and line not in lines:
                lines.append(line)
    if not lines:
        print(f"error: no package source of the running release ({codename or 'unknown'}) in {ETC_APT}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
