# SPDX-License-Identifier: Apache-2.0
"""The fall-back: models that are not converted natively go through other people's converters, for real, and answer as their framework does.
The Python environments are made by `./dev test` (tools/setup/converter.sh); MLOS_REQUIRE_FALLBACK says that they must be there. The
container route meets a stand-in for the engine that writes down how it was called."""
import json
import os
import pathlib
import subprocess
import zipfile

import numpy as np
import pytest

import mlos
import vectors

CACHE = pathlib.Path(os.environ.get("MLOS_CACHE_DIR") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mlos")
IMAGE = "mlos-converter@sha256:" + "a" * 64


def foreign(framework, folder):
    """(interpreter, folder of the models, their answers)."""
    python = CACHE / "converter" / framework / "bin/python"
    if not (CACHE / "converter" / framework / ".complete").exists():
        assert "MLOS_REQUIRE_FALLBACK" not in os.environ, f"{python} is missing: tools/setup/converter.sh make"
        pytest.skip("the fall-back's Python environments are not there: tools/setup/converter.sh make, 6 GB")
    done = subprocess.run([python, mlos.ROOT / "tests/tools/foreign_models.py", framework, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python, folder, json.loads((folder / "answers.json").read_text())


@pytest.fixture(scope="module")
def tensorflow(tmp_path_factory):
    return foreign("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.fixture(scope="module")
def transformers(tmp_path_factory):
    return foreign("transformers", tmp_path_factory.mktemp("transformers"))


def convert_and_serve(home, tmp_path, models, name, *more):
    """Converts the model, installs what came out, asks it, compares with the framework's answer."""
    python, folder, answers = models
    environment = {"MLOS_CONVERTER_PYTHON": str(python)}
    done = home.axon("convert", folder / name, "--fallback", "python", "--out", tmp_path / "onnx", *more, environment=environment, timeout=600)
    assert "not converted natively" in done.stderr  # it says why before it goes elsewhere
    assert "runs: 1 graph executed once" in done.stdout
    core = home.start_core()
    home.axon("install", tmp_path / "onnx", "--as", "local/foreign")
    home.axon("register", "local/foreign")
    given, wanted = answers[name]["inputs"], answers[name]["outputs"]
    declared = home.axon_json("info", "local/foreign")
    inputs = given if isinstance(given, dict) else dict(zip([spec["name"] for spec in declared["inputs"]], given))
    answer = core.infer("local/foreign", {"inputs": inputs})
    assert answer.status == 200, str(answer)
    got = answer.json["outputs"][declared["outputs"][0]["name"]]
    vectors.assert_close(wanted[0], np.reshape(got["data"], got["shape"]), what=name)


@pytest.mark.parametrize("name", ["saved", "net.keras", "net.tflite"])
def test_a_tensorflow_model_answers_as_tensorflow_does(home, tmp_path, tensorflow, name):
    convert_and_serve(home, tmp_path, tensorflow, name)


def test_an_architecture_that_is_not_native_answers_as_pytorch_does(home, tmp_path, transformers):
    convert_and_serve(home, tmp_path, transformers, "roformer", "--task", "feature-extraction")


@pytest.mark.parametrize("framework, name", [("transformers", "roformer"), ("tensorflow", "net.keras"), ("tensorflow", "saved")])
def test_what_is_not_native_is_installed_by_one_command_when_allowed(home, request, framework, name):
    python, folder, answers = request.getfixturevalue(framework)
    command = ["install", folder / name, "--as", "local/foreign"]
    refused = home.axon(*command, check=False)
    assert refused.returncode == 1 and "--fallback python or container" in refused.stderr
    assert home.axon_json("list") == []
    done = home.axon(*command, "--fallback", "python", environment={"MLOS_CONVERTER_PYTHON": str(python)}, timeout=600)
    assert "not converted natively" in done.stderr
    assert "runs: 1 graph executed once" in done.stdout
    declared = home.axon_json("info", "local/foreign")
    assert declared["conversion"]["converter"] == "fallback-python" and declared["conversion"]["verified"]
    home.axon("verify", "local/foreign")
    core = home.start_core()
    home.axon("register", "local/foreign")
    given, wanted = answers[name]["inputs"], answers[name]["outputs"]
    inputs = given if isinstance(given, dict) else dict(zip([spec["name"] for spec in declared["inputs"]], given))
    answer = core.infer("local/foreign", {"inputs": inputs})
    assert answer.status == 200, str(answer)
    got = answer.json["outputs"][declared["outputs"][0]["name"]]
    vectors.assert_close(wanted[0], np.reshape(got["data"], got["shape"]), what=name)


def test_what_the_converter_cannot_do_is_told_with_its_own_words(home, tmp_path, tensorflow):
    (tmp_path / "broken.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 64)
    done = home.axon("convert", tmp_path / "broken.tflite", "--fallback", "python", "--out", tmp_path / "onnx", check=False, timeout=600,
                     environment={"MLOS_CONVERTER_PYTHON": str(tensorflow[0])})
    assert done.returncode == 1
    assert "the Python converter ended with" in done.stderr
    frozen = tmp_path / "frozen.pb"
    frozen.write_bytes(b"x")
    done = home.axon("convert", frozen, "--fallback", "python", "--out", tmp_path / "onnx", check=False, timeout=600,
                     environment={"MLOS_CONVERTER_PYTHON": str(tensorflow[0])})
    assert "save it as a SavedModel" in done.stderr


def converter_folder(folder):
    """A converter of ours: one wheel, its lock file, a convert.py that needs it and writes a graph that was there before."""
    folder.mkdir()
    wheel = folder / "pretend_converter-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pretend_converter.py", "NAME = 'model.onnx'\n")
        archive.writestr("pretend_converter-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pretend-converter\nVersion: 1.0\n")
        archive.writestr("pretend_converter-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("pretend_converter-1.0.dist-info/RECORD", "")
    digest = subprocess.run(["sha256sum", wheel], capture_output=True, text=True, check=True).stdout.split()[0]
    (folder / "tensorflow.lock").write_text(f"pretend-converter==1.0 --hash=sha256:{digest}\n")
    (folder / "convert.py").write_text("import pretend_converter, shutil, sys\n"
                                       f"shutil.copy({str(mlos.MODELS / 'onnx/identity_float32.onnx')!r}, sys.argv[2] + '/' + pretend_converter.NAME)\n")
    return {"MLOS_CONVERTER_DIR": str(folder), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


def test_the_environment_is_made_only_when_allowed_and_once(home, tmp_path):
    environment = converter_folder(tmp_path / "converter")
    model = tmp_path / "net.tflite"
    model.write_bytes(b"x")
    command = ["convert", model, "--fallback", "python", "--out", tmp_path / "onnx"]
    refused = home.axon(*command, check=False, environment=environment)
    assert refused.returncode == 1 and "--yes" in refused.stderr
    made = home.axon(*command, "--yes", environment=environment)
    assert "making the Python environment" in made.stderr and "runs: 1 graph executed once" in made.stdout
    again = home.axon(*command, environment=environment)
    assert "making the Python environment" not in again.stderr
    # Another lock file, another environment; a wheel whose digest is not the one in it is not installed.
    (tmp_path / "converter/tensorflow.lock").write_text("pretend-converter==1.0 --hash=sha256:" + "0" * 64 + "\n")
    wrong = home.axon(*command, "--yes", check=False, environment=environment)
    assert wrong.returncode == 1 and "pip install ended with" in wrong.stderr
    assert home.axon(*command, check=False, environment=environment).returncode == 1


def test_an_install_says_how_to_allow_the_fall_back_and_keeps_what_it_is_made_of(home, tmp_path):
    environment = converter_folder(tmp_path / "converter")
    (tmp_path / "converter/transformers.lock").write_bytes((tmp_path / "converter/tensorflow.lock").read_bytes())
    model = tmp_path / "unknown"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "unheard_of", "architectures": ["UnheardOfModel"]}')
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    command = ["install", model, "--as", "local/unknown"]
    refused = home.axon(*command, check=False, environment=environment)
    assert refused.returncode == 1 and "unheard_of" in refused.stderr and "--fallback python or container" in refused.stderr
    unasked = home.axon(*command, "--fallback", "python", check=False, environment=environment)
    assert unasked.returncode == 1 and "--yes" in unasked.stderr
    home.axon(*command, "--fallback", "python", "--yes", environment=environment)
    declared = home.axon_json("info", "local/unknown")
    assert declared["source_format"] == "safetensors" and declared["format"] == "onnx"
    assert declared["conversion"]["converter"] == "fallback-python" and declared["conversion"]["verified"]
    files = [file["path"] for file in declared["files"]]
    assert "model.onnx" in files and "config.json" in files and "model.safetensors" not in files
    again = home.axon(*command, "--fallback", "python", environment=environment)
    assert "already installed" in again.stdout
    quantised = home.axon(*command, "--force", "--fallback", "python", "--quantize", "int8", check=False, environment=environment)
    assert quantised.returncode == 1 and "converted natively" in quantised.stderr


def stand_in(folder, name, script):
    """A program called as a container engine is; no engine."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + script)
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "MLOS_CONVERTER_IMAGE": IMAGE}


def test_a_container_engine_is_called_without_network_root_and_with_a_read_only_model(home, tmp_path):
    source = tmp_path / "net.tflite"
    source.write_bytes(b"x")
    graph = mlos.MODELS / "onnx/identity_float32.onnx"
    environment = stand_in(tmp_path / "bin", "podman", f'printf "%s\\n" "$@" > {tmp_path}/called\ncp {graph} {tmp_path}/onnx/model.onnx\n')
    done = home.axon("convert", source, "--fallback", "container", "--out", tmp_path / "onnx", environment=environment)
    assert "converting in a container of podman" in done.stderr and "runs: 1 graph executed once" in done.stdout
    called = (tmp_path / "called").read_text().splitlines()
    assert called[0] == "run"
    assert called[called.index("--network") + 1] == "none"
    assert called[called.index("--user") + 1].split(":")[0] != "0"
    assert "--read-only" in called and called[called.index("--cap-drop") + 1] == "ALL"
    assert f"{source}:/in/net.tflite:ro" in called and f"{tmp_path}/onnx:/out:rw" in called
    assert called[called.index(IMAGE):] == [IMAGE, "/in/net.tflite", "/out"]


def test_an_engine_that_fails_writes_nothing_or_is_not_there_is_an_error(home, tmp_path):
    source = tmp_path / "net.tflite"
    source.write_bytes(b"x")
    command = ["convert", source, "--fallback", "container", "--out", tmp_path / "onnx"]
    fails = home.axon(*command, check=False, environment=stand_in(tmp_path / "fails", "docker", "echo no such image >&2\nexit 125\n"))
    assert fails.returncode == 1 and "docker run ended with status 125" in fails.stderr and "no such image" in fails.stderr
    idle = home.axon(*command, check=False, environment=stand_in(tmp_path / "idle", "docker", "exit 0\n"))
    assert idle.returncode == 1 and "wrote no .onnx file" in idle.stderr
    none = home.axon(*command, check=False, environment={"PATH": str(tmp_path / "empty"), "MLOS_CONVERTER_IMAGE": IMAGE})
    assert none.returncode == 1 and "neither podman nor docker" in none.stderr
