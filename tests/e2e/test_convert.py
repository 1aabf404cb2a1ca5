# SPDX-License-Identifier: Apache-2.0
"""Conversion with the real engine behind it: what axon installs has run once; int8 is compared; the fall-back on models that are not
native (only where its Python environment is: MLOS_CONVERTER_PYTHON, or made by `axon convert --fallback python --yes`)."""
import json
import os
import pathlib
import shutil
import subprocess

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
    assert "int8 against f32: cosine 0.99" in done.stdout
    manifest = (pathlib.Path(home.axon_json("info", "local/int8")["path"]) / "manifest.yaml").read_text()
    assert "quantization_cosine: 0.99" in manifest


def converter():
    told = os.environ.get("MLOS_CONVERTER_PYTHON")
    cached = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "mlos/converter/bin/python"
    python = pathlib.Path(told) if told else cached
    if not python.exists():
        pytest.skip("the fall-back's Python environment is not there: axon convert --fallback python --yes makes it, several gigabytes")
    return python


def fallback(home, source, out, *more):
    environment = {"MLOS_CONVERTER_PYTHON": str(converter()), "MLOS_CONVERTER_DIR": str(mlos.ROOT / "packaging/converter")}
    done = home.axon("convert", source, "--fallback", "python", "--out", out, *more, environment=environment, timeout=900)
    assert "not converted natively" in done.stderr  # it says why before it goes elsewhere
    assert "runs: 1 graph executed once" in done.stdout
    return done


def test_the_python_route_converts_a_tensorflow_model(home, tmp_path):
    make = """
import sys, tensorflow as tf
tf.keras.utils.set_random_seed(1)
class Net(tf.Module):
    def __init__(self):
        self.w = tf.Variable(tf.random.normal([4, 3]))
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": tf.nn.relu(x @ self.w)}
net = Net()
tf.saved_model.save(net, sys.argv[1], signatures=net.__call__)
"""
    subprocess.run([converter(), "-c", make, tmp_path / "saved"], check=True, capture_output=True, timeout=600)
    fallback(home, tmp_path / "saved", tmp_path / "onnx")


def test_the_python_route_converts_an_architecture_that_is_not_native(home, tmp_path):
    make = """
import sys, torch, transformers
torch.manual_seed(1)
config = transformers.RoFormerConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                                     max_position_embeddings=32)
transformers.RoFormerModel(config).eval().save_pretrained(sys.argv[1])
"""
    subprocess.run([converter(), "-c", make, tmp_path / "roformer"], check=True, capture_output=True, timeout=600)
    fallback(home, tmp_path / "roformer", tmp_path / "onnx", "--task", "feature-extraction")


def test_json_of_explain_names_every_tensor(home, tmp_path):
    report = home.axon_json("convert", checkpoint(tmp_path, "torch-zip"), "--explain")
    assert report["architecture"] == "mpnet" and "classifier.weight" in report["used_tensors"]
    assert json.dumps(report)  # plain JSON
