# SPDX-License-Identifier: Apache-2.0
"""The fixture models are what they say they are, by the frameworks alone: nothing of mlOS runs here."""
import hashlib
import json

import numpy as np
import onnxruntime
import pytest

from vectors import assert_close

LIMIT_BYTES = 5_000_000  # without convert/ and gguf/
CONVERT_LIMIT_BYTES = 15_000_000
# mlOS fills these in when a request leaves them out.
DEFAULTS = {"attention_mask": np.ones_like, "token_type_ids": np.zeros_like}
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def load(path):
    return json.loads(path.read_text())


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def test_every_file_has_the_checksum_in_the_list(models):
    listed = dict(reversed(line.split(None, 1)) for line in (models / "MODELS.sha256").read_text().splitlines())
    for name, digest in listed.items():
        assert hashlib.sha256((models / name).read_bytes()).hexdigest() == digest, name
    present = {f"./{p.relative_to(models)}" for p in models.glob("*/**/*") if p.is_file()
               and p.relative_to(models).parts[0] != "make" and p.suffix != ".pyc"}
    assert present == set(listed)
    size = lambda names: sum((models / name).stat().st_size for name in names)
    convert = [name for name in listed if name.startswith(("./convert/", "./gguf/"))]
    assert size(set(listed) - set(convert)) <= LIMIT_BYTES
    assert size(convert) <= CONVERT_LIMIT_BYTES


@pytest.mark.parametrize("number", range(6))
def test_onnx_models_give_the_golden_outputs(models, number):
    case = load(models / "onnx" / "golden.json")["cases"][number]
    model = session(models / "onnx" / case["model"])
    declared = model.get_inputs() + model.get_overridable_initializers()
    feed = {i.name: np.array(case["inputs"][i.name], DTYPES[i.type]) for i in declared if i.name in case["inputs"]}
    for tensor in model.get_inputs():
        if tensor.name in DEFAULTS and tensor.name not in feed:
            feed[tensor.name] = DEFAULTS[tensor.name](feed["input_ids"])
    for output, got in zip(model.get_outputs(), model.run(None, feed)):
        assert_close(case["outputs"][output.name], got, what=output.name)


def test_there_is_an_identity_model_per_dtype(models):
    types = {session(p).get_inputs()[0].type for p in (models / "onnx").glob("identity_*.onnx")}
    assert types == {f"tensor({t})" for t in ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
                                              "float16", "bfloat16", "float", "double", "string")}


def test_digits_classifier_is_right_on_97_percent_of_the_test_images(models):
    test = load(models / "digits" / "test.json")
    images = (np.array(test["images"], np.float32) / 16)[:, None]
    logits = session(models / "digits" / "model.onnx").run(None, {"image": images})[0]
    assert (logits.argmax(1) == test["labels"]).mean() >= 0.97
    assert_close(test["logits"], logits[:20])


def test_broken_files_are_indexed_and_nothing_ran_the_hostile_pickle(broken):
    index = load(broken / "index.json")["files"]
    assert len(index) > 50
    for entry in index:
        assert (broken / entry["file"]).stat().st_size == entry["size"]
    assert not list(broken.rglob("MLOS_PICKLE_WAS_EXECUTED"))
