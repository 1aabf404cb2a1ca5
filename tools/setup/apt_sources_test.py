#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""apt_sources.py reads both formats of package sources and keeps mirrors and keyrings."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class AptSourcesTest(unittest.TestCase):
    def run_with(self, **files):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(f"{root}/sources.list.d")
            with open(f"{root}/os-release", "w", encoding="utf-8") as f:
                f.write('ID=debian\nVERSION_CODENAME=bookworm\n')
            for name, text in files.items():
                with open(f"{root}/{name.replace('__', '/').replace('_', '.')}", "w", encoding="utf-8") as f:
                    f.write(text)
            env = dict(os.environ, MLOS_ETC_APT=root, MLOS_OS_RELEASE=f"{root}/os-release", TMPDIR=root)
            done = subprocess.run([sys.executable, f"{HERE}/apt_sources.py", "trixie"], env=env, capture_output=True, text=True)
            keys = [p.read_text(encoding="utf-8") for p in pathlib.Path(root).glob("*.asc")]
            return done.returncode, done.stdout.splitlines(), keys

    def test_one_line_format(self):
        code, lines, _ = self.run_with(sources_list=(
            "# deb http://commented.example/debian bookworm main\n"
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n"
            "deb-src http://mirror.example/debian bookworm main\n"
            "deb http://mirror.example/security bookworm-security main\n"))
        self.assertEqual((code, lines), (0, ["deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main"]))

    def test_deb822_format(self):
        code, lines, _ = self.run_with(sources_list_d__debian_sources=(
            "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
            "Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\n"
            "Types: deb\nURIs: http://other.example/x\nSuites: nodistro\nComponents: main\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"))
        self.assertEqual(
            (code, lines), (0, ["deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian trixie main"]))

    def test_key_inside_the_source(self):
        code, lines, keys = self.run_with(sources_list_d__debian_sources=(
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
            "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n bGluZQ==\n -----END PGP PUBLIC KEY BLOCK-----\n"))
        self.assertEqual(code, 0)
        self.assertRegex(lines[0], r"^deb \[signed-by=\S+\.asc\] http://mirror\.example/debian trixie main$")
        self.assertEqual(
            keys, ["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nbGluZQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"])

    def test_no_source_of_this_release_is_an_error(self):
        self.assertEqual(self.run_with(sources_list="deb http://mirror.example/debian sid main\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
