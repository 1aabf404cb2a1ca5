#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_layers.py finds each kind of breach in a small tree, and nothing in a clean one."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
DEPS = """
base:
os:               base
wire:             base
frontend/common:  base wire
frontend/http:    base frontend/common
frontend/ipc:     base frontend/common
plugin:           base
[smi]             plugin
[system]          os
[third-party]
yaml-cpp/:        base
"""
CLEAN = {
    "src/base/status.h": "#include <string>\n",
    "src/os/file.cc": '#include <fcntl.h>\n#include "base/status.h"\n',
    "src/wire/json.h": '#include "base/status.h"\n',
    "src/wire/json_test.cc": "#include <unistd.h>\n",
    "src/frontend/common/limits.h": "#include <cstdint>\n",
    "src/frontend/http/server.cc": '#include "frontend/common/limits.h"\n',
    "src/plugin/host.cc": '#include "smi/smi.h"\n',
    "include/smi/smi.h": "#include <stdint.h>\n",
    "plugins/echo/echo.cc": '#include "smi/smi.h"\n#include "plugins/echo/model.h"\n',
    "plugins/echo/model.h": "#include <dlfcn.h>\n",
}


class CheckLayersTest(unittest.TestCase):
    def run_on(self, **changes):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes, "tools/layers.deps": DEPS}.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write(text)
            done = subprocess.run([sys.executable, f"{HERE}/check_layers.py", root], capture_output=True, text=True)
            return done.returncode, done.stdout

    def assert_breach(self, path, text, words):
        code, out = self.run_on(**{path: text})
        self.assertEqual(code, 1, out)
        self.assertIn(f"{path}:1:", out)
        self.assertIn(words, out)

    def test_clean_tree_passes(self):
        self.assertEqual(self.run_on(), (0, ""))

    def test_lower_folder_may_not_include_a_higher_one(self):
        self.assert_breach("src/base/clock.cc", '#include "wire/json.h"\n', "base may not include wire")

    def test_front_ends_may_not_include_each_other(self):
        self.assert_breach("src/frontend/ipc/a.cc", '#include "frontend/http/server.cc"\n', "may not include frontend/http")

    def test_system_headers_belong_to_os(self):
        self.assert_breach("src/wire/shm.cc", "#include <sys/mman.h>\n", "call through src/os")

    def test_smi_belongs_to_plugin(self):
        self.assert_breach("src/wire/smi.cc", '#include "smi/smi.h"\n', "only plugin")

    def test_third_party_headers_stay_with_their_owner(self):
        self.assert_breach("src/wire/yaml.cc", "#include <yaml-cpp/yaml.h>\n", "belongs to base")

    def test_plugins_include_nothing_of_src(self):
        self.assert_breach("plugins/echo/bad.cc", '#include "base/status.h"\n', "nothing of src/")

    def test_public_headers_include_nothing_of_src(self):
        self.assert_breach("include/smi/bad.h", '#include "base/status.h"\n', "nothing of src/")

    def test_a_folder_nobody_listed_is_reported(self):
        self.assert_breach("src/misc/a.cc", "#include <string>\n", "not in tools/layers.deps")


if __name__ == "__main__":
    unittest.main()
