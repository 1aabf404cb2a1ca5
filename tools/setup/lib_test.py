#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A set-up step (lib.sh) is made once, also by two set-ups at a time, and an interrupted one is made anew."""

import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
STEP = f"""#!/bin/bash
source {HERE}/lib.sh
prefix() {{ echo "$DEPS/thing"; }}
ready() {{ [ -f "$(prefix)/.complete" ]; }}
make_step() {{
  local stage
  stage=$(scratch_dir thing)
  echo made >>"$DEPS/log"
  touch "$stage/first"
  if [ -e "$DEPS/die" ]; then kill -9 $$; fi
  touch "$stage/.complete"
  move_into_place "$stage" "$(prefix)"
}}
run_verb "$@"
"""


class StepTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.deps = pathlib.Path(folder.name) / "deps"
        self.deps.mkdir()
        self.step = pathlib.Path(folder.name) / "thing.sh"
        self.step.write_text(STEP, encoding="utf-8")
        self.env = dict(os.environ, MLOS_CACHE_DIR=folder.name)

    def start(self, verb):
        return subprocess.Popen(["bash", str(self.step), verb], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run_step(self, verb):
        process = self.start(verb)
        process.communicate()
        return process.returncode

    def times_made(self):
        return len((self.deps / "log").read_text(encoding="utf-8").split())

    def test_second_make_does_nothing(self):
        self.assertNotEqual(self.run_step("ready"), 0)
        self.assertEqual(self.run_step("make"), 0)
        self.assertEqual(self.run_step("ready"), 0)
        self.assertEqual(self.run_step("make"), 0)
        self.assertEqual(self.times_made(), 1)

    def test_concurrent_makes_make_once(self):
        processes = [self.start("make") for _ in range(4)]
        for process in processes:
            process.communicate()
            self.assertEqual(process.returncode, 0)
        self.assertEqual(self.times_made(), 1)

    def test_killed_make_leaves_nothing_in_place_and_the_next_completes(self):
        (self.deps / "die").touch()
        self.assertNotEqual(self.run_step("make"), 0)
        self.assertFalse((self.deps / "thing").exists())
        self.assertNotEqual(self.run_step("ready"), 0)
        (self.deps / "die").unlink()
        self.assertEqual(self.run_step("make"), 0)
        self.assertTrue((self.deps / "thing" / "first").exists())

    def test_unknown_verb_is_an_error(self):
        self.assertNotEqual(self.run_step("frobnicate"), 0)


if __name__ == "__main__":
    unittest.main()
