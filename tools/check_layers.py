#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the include layers of tools/layers.deps over src/, plugins/ and include/. Prints each breach; exit 1 if any.

    check_layers.py [ROOT]    ROOT is the repository (default: the one this script is in)

Rules: a folder of src/ includes itself and what layers.deps allows; [smi], [system] and [third-party] headers only
where it says; a plugin includes include/ and its own folder, nothing of src/; include/ stands on the standard library alone.
Unit tests obey the same layers but may make system calls, and third-party headers are free in them.
"""

import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCE = (".h", ".hpp", ".cc", ".cpp", ".c")
# Headers through which code reaches the kernel. What ISO C++ offers (files, threads, clocks) is free for all.
SYSTEM = re.compile(
    r"^(sys/|linux/|asm/|netinet/|arpa/|net/|"
    r"(aio|dirent|dlfcn|fcntl|grp|ifaddrs|mqueue|netdb|poll|pthread|pwd|sched|semaphore|signal|spawn|syslog|termios|ucontext|unistd)\.h$|"
    r"csignal$|systemd/)"
)


class Rules:
    def __init__(self, path):
        self.allowed, self.smi, self.system, self.third_party = {}, set(), set(), {}
        section = self.allowed
        with open(path, encoding="utf-8") as f:
            for number, raw in enumerate(f, 1):
                line = raw.split("#", 1)[0].strip()
                if not line:
                    continue
                if line == "[third-party]":
                    section = self.third_party
                elif line.startswith("[smi]"):
                    self.smi = set(line.split()[1:])
                elif line.startswith("[system]"):
                    self.system = set(line.split()[1:])
                elif ":" in line:
                    name, words = line.split(":", 1)
                    section[name.strip()] = set(words.split())
                else:
                    sys.exit(f"{path}:{number}: cannot read '{line}'")
        for folder, others in self.allowed.items():
            unknown = others - self.allowed.keys()
            if unknown:
                sys.exit(f"{path}: {folder} may include {', '.join(sorted(unknown))}, which is no folder of the list")

    def folder_of(self, path):
        """The longest listed folder that holds a path relative to src/, or None."""
        parts = path.split("/")[:-1]
        for end in range(len(parts), 0, -1):
            if "/".join(parts[:end]) in self.allowed:
                return "/".join(parts[:end])
        return None


def includes(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1), match.group(2)


def files_under(root, top):
    for folder, folders, names in os.walk(os.path.join(root, top)):
        folders[:] = sorted(d for d in folders if d not in ("target", "build"))
        for name in sorted(names):
            if name.endswith(SOURCE):
                yield os.path.relpath(os.path.join(folder, name), root)


def check_src(root, rules, report):
    for path in files_under(root, "src"):
        inside = path[len("src/"):]
        folder = rules.folder_of(inside)
        if folder is None:
            report(path, 1, "this folder is not in tools/layers.deps")
            continue
        test = inside.endswith(("_test.cc", "_benchmark.cc")) or "/testing/" in inside
        for number, kind, name in includes(os.path.join(root, path)):
            if name.startswith("smi/"):
                if folder not in rules.smi:
                    report(path, number, f"only {', '.join(sorted(rules.smi))} and plugins may include <{name}>")
            elif kind == "<" and SYSTEM.match(name):
                if folder not in rules.system and not test:
                    report(path, number, f"<{name}> is a system call header: call through src/os")
            else:
                check_own_or_third_party(root, rules, report, path, number, folder, kind, name, test)


def check_own_or_third_party(root, rules, report, path, number, folder, kind, name, test):
    if kind == '"':
        if os.path.exists(os.path.join(root, "src", name)):
            target = rules.folder_of(name)
            if target is None:
                report(path, number, f'"{name}" is in a folder that tools/layers.deps does not list')
            elif target != folder and target not in rules.allowed[folder]:
                report(path, number, f"{folder} may not include {target} (\"{name}\")")
            return
        if os.path.exists(os.path.join(root, os.path.dirname(path), name)):
            report(path, number, f'write the path from src/: "{os.path.relpath(os.path.dirname(path), "src")}/{name}"')
            return
    if test:
        return
    for prefix, owners in rules.third_party.items():
        if name.startswith(prefix) and folder not in owners:
            report(path, number, f"<{name}> belongs to {', '.join(sorted(owners)) or 'plugins'}, not to {folder}")


def check_plugins(root, report):
    for path in files_under(root, "plugins"):
        for number, kind, name in includes(os.path.join(root, path)):
            local = os.path.exists(os.path.join(root, os.path.dirname(path), name))
            if kind == '"' and not local and os.path.exists(os.path.join(root, "src", name)):
                report(path, number, f'plugins include nothing of src/ ("{name}")')
            if kind == '"' and local and not os.path.realpath(os.path.join(root, os.path.dirname(path), name)).startswith(
                os.path.realpath(os.path.join(root, "plugins", path.split("/")[1]))
            ):
                report(path, number, f'a plugin includes its own folder only ("{name}")')


def check_include(root, report):
    for path in files_under(root, "include"):
        for number, _, name in includes(os.path.join(root, path)):
            if os.path.exists(os.path.join(root, "src", name)):
                report(path, number, f"public headers include nothing of src/ ({name})")


def main() -> int:
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    rules = Rules(os.path.join(root, "tools/layers.deps"))
    breaches = []

    def report(path, number, text):
        breaches.append(f"{path}:{number}: {text}")

    check_src(root, rules, report)
    check_plugins(root, report)
    check_include(root, report)
    for breach in breaches:
        print(breach)
    if breaches:
        print(f"{len(breaches)} include(s) against tools/layers.deps")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
