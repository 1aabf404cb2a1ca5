# SPDX-License-Identifier: Apache-2.0
"""A build backend that answers `pip download` and nothing else.

pip asks a source package's build backend for its metadata before it saves the file. We only want the file (its
llama.cpp folder), so this stands in for the real backend: nothing of the package is run, and no build tools are fetched.
"""

import os
import re


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    with open("PKG-INFO", encoding="utf-8") as f:
        head = f.read().split("\n\n", 1)[0]
    name = re.search(r"^Name: (.+)$", head, re.M).group(1)
    version = re.search(r"^Version: (.+)$", head, re.M).group(1)
    folder = f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    os.makedirs(os.path.join(metadata_directory, folder))
    with open(os.path.join(metadata_directory, folder, "METADATA"), "w", encoding="utf-8") as f:
        f.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise RuntimeError("this backend only names packages; it builds nothing")
