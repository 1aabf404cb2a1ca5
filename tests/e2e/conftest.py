# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests. `home` is a fresh MLOS_HOME, `core` an mlos-core in it, `mirror` a hub with our models."""
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import mlos  # noqa: E402


@pytest.fixture
def models():
    """The folder of the fixture models."""
    return mlos.MODELS


@pytest.fixture
def home(tmp_path):
    with mlos.Home(tmp_path) as world:
        yield world


@pytest.fixture
def core(home):
    return home.start_core()


@pytest.fixture
def mirror(home, tmp_path):
    """`axon mirror` over a hub whose repositories are the fixture models; bert-base-uncased is the tiny BERT."""
    folder = tmp_path / "hub"
    shutil.copytree(mlos.MODELS / "tiny-bert", folder / "bert-base-uncased")
    for name in ("tiny-sbert", "tiny-bert-cls", "tiny-bert-mlm", "tiny-bert-oldnames", "digits", "addition", "embedding"):
        shutil.copytree(mlos.MODELS / name, folder / "mlos-test" / name)
    return home.start_mirror(folder)


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """Folder of broken and hostile model files with its index.json."""
    import subprocess
    folder = tmp_path_factory.mktemp("broken")
    subprocess.run([sys.executable, str(mlos.MODELS / "make" / "corrupt.py"), str(folder)], check=True, capture_output=True)
    return folder
