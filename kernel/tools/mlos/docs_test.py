#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The man pages say what the code says: every operation, every parameter with its default, every verb; and groff has no complaint. The page
of the kernel's documentation has its sections."""
import pathlib
import re
import shutil
import subprocess
import unittest

KERNEL = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((KERNEL / "tools/mlos/man").iterdir())


def text(path):
    return (KERNEL / path).read_text(encoding="utf-8")


def page(name):
    return text(f"tools/mlos/man/{name}").replace("\\-", "-")


def operations():
    return set(re.findall(r"#define MLOS_IOC_(\w+) MLOS_IO\(", text("include/uapi/linux/mlos.h")))


class Documentation(unittest.TestCase):
    PAGE = "Documentation/mlos-ml.rst"

    def test_sections_have_whole_titles_and_words(self):
        sections = re.findall(r"^(\S[^\n]*)\n(={4,})\n(.*?)(?=^\S[^\n]*\n={4,}\n|\Z)", text(self.PAGE), re.S | re.M)
        self.assertGreater(len(sections), 6)
        for title, under, words in sections[1:]:  # the first is the page's own
            self.assertGreaterEqual(len(under), len(title), title)
            self.assertTrue(words.strip(), title)


class ManPages(unittest.TestCase):
    def test_every_operation_is_named(self):
        self.assertGreater(len(operations()), 20)
        named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", page("mlos_ml.4")))
        self.assertEqual(operations() - named, set())

    def test_parameters_and_their_defaults_agree(self):
        main = text("drivers/misc/mlos/mlos_main.c")
        parameters = dict(re.findall(r'module_param_named\((\w+), \w+, \w+, (0\d+)\);', main))
        parameters.update((name, "0644") for name in re.findall(r"^APPLIED_PARAM\((\w+), ", main, re.M))
        defaults = dict(re.findall(r'MODULE_PARM_DESC\((\w+), ".*default (\w+)', main))
        documented = {name: (default, "*" in rest)
                      for name, default, rest in re.findall(r'^\.BR (\w+) " \([^"]*?default (\w+)([^"]*)"$', page("mlos_ml.4"), re.M)}
        self.assertEqual(set(parameters), set(documented))
        for name, (default, changeable) in documented.items():
            self.assertEqual({"on": "Y"}.get(defaults[name], defaults[name]), default, name)
            self.assertEqual(parameters[name] == "0644", changeable, name)

    def test_every_verb_is_described(self):
        verbs = re.findall(r'^\t\{ "(\w+)", ', text("tools/mlos/mlosctl.c"), re.M)
        self.assertGreater(len(verbs), 5)
        for verb in verbs:
            self.assertRegex(page("mlosctl.8"), rf"(?m)^\.(B|BI) {verb}\b")

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_groff_has_no_complaint(self):
        for path in PAGES:
            done = subprocess.run(["groff", "-man", "-ww", "-t", "-Tutf8", "-z", path], capture_output=True, text=True, check=True)
            self.assertEqual(done.stderr, "", path.name)


if __name__ == "__main__":
    unittest.main()
