# SPDX-License-Identifier: Apache-2.0
"""Conversion with the real engine behind it: what axon installs has run once; int8 is compared with f32."""
import json
import pathlib
import shutil

import pytest

import mlos

CASES = mlos.MODELS / "convert"


def checkpoint(tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(CASES / name, folder, ignore=shutil.ignore_patterns("golden.*"))
    return folder


@pytest.mark.parametrize("name", ["torch-zip", "torch-legacy", "torch-shards", "torch-strided", "torch-scripted", "torch-module"])
def test_a_pytorch_checkpoint_is_installed_after_it_has_run(home, tmp_path, name):
    done = home.axon("install", checkpoint(tmp_path, name), "--as", f"local/{name}")
    assert "runs: 1 graph executed once" in done.stdout
    assert home.axon_json("info", f"local/{name}")["conversion"]["verified"] is True


def test_golden_answers_of_a_package_are_checked(home, tmp_path):
    folder = tmp_path / "with-answers"
    shutil.copytree(CASES / "torch-zip", folder)
    done = home.axon("install", folder, "--as", "local/answers")
    assert "6 answers of its own within" in done.stdout


def test_a_package_whose_own_answers_differ_is_not_installed(home, tmp_path):
    folder = tmp_path / "wrong"
    shutil.copytree(CASES / "torch-zip", folder)
    shutil.copy(CASES / "mpnet-cls/golden.safetensors", folder / "golden.safetensors")
    done = home.axon("install", folder, "--as", "local/wrong", check=False)
    assert done.returncode == 1
    assert "golden answer" in done.stderr or "golden case" in done.stderr
    assert home.axon_json("list") == []


def test_int8_is_compared_with_f32_and_stored(home, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(mlos.MODELS / "tiny-bert", folder)
    report = home.axon_json("convert", folder, "--quantize", "int8")
    assert report["int8_tensors"] >= 12
    assert 0.99 < report["int8_cosine"] <= 1
    (folder / "model.onnx").unlink()
    (folder / "model.int8.data").unlink()
    done = home.axon("install", folder, "--as", "local/int8", "--quantize", "int8")
    assert "int8 against f32 over 8 inputs: cosine at least 0.9" in done.stdout
    manifest = (pathlib.Path(home.axon_json("info", "local/int8")["path"]) / "manifest.yaml").read_text()
    assert "quantization_cosine: 0.99" in manifest


def test_json_of_explain_names_every_tensor(home, tmp_path):
    report = home.axon_json("convert", checkpoint(tmp_path, "torch-zip"), "--explain")
    assert report["architecture"] == "mpnet" and "classifier.weight" in report["used_tensors"]
    assert json.dumps(report)  # plain JSON
