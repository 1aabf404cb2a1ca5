# SPDX-License-Identifier: Apache-2.0
"""isolation, batching and max_batch, from the manifest and from the registration."""
import hashlib

import pytest

MODEL = "echo 1\ninput x FP32 batch 1\n"
MANIFEST = """apiVersion: axon.mlos.io/v1
kind: Model
metadata: {{namespace: local, name: switches, version: latest}}
spec:
  framework: {{name: echo}}
  format:
    type: echo
    execution_format: echo
    files: [{{path: model.echo, size: {size}, sha256: "{sha256}"}}]
    execution_files: [{{path: model.echo, format: echo, type: single}}]
  serving: {serving}
"""


@pytest.fixture
def package(tmp_path):
    """package(serving) -> the folder of a package whose manifest says so."""
    def make(serving):
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        (folder / "model.echo").write_text(MODEL)
        sha256 = hashlib.sha256(MODEL.encode()).hexdigest()
        (folder / "manifest.yaml").write_text(MANIFEST.format(size=len(MODEL), sha256=sha256, serving=serving))
        return str(folder)
    return make


def register(core, path, **more):
    return core.post("/models/register", {"model_id": "local/switches@latest", "path": path, **more})


def in_force(core):
    model = core.get("/models/local%2Fswitches@latest").json
    return model["isolation"], model["batching"], model["max_batch"]


def worker_pid(core):
    return next(w["pid"] for w in core.get("/doctor").json["workers"] if w["model_id"] == "local/switches@latest")


def test_the_manifest_says_where_and_how_a_model_runs(core, package):
    assert register(core, package("{isolation: none, batching: off, max_batch: 8}")).status == 200
    assert in_force(core) == ("none", "off", 1)
    assert worker_pid(core) == 0
    answer = core.infer("local/switches@latest", {"x": [[2.0]]})
    assert answer.status == 200 and answer.json["outputs"]["x"]["data"] == [2], answer


def test_the_registration_goes_before_the_manifest(core, package):
    path = package("{isolation: none, batching: off, max_batch: 8}")
    assert register(core, path, isolation="process", batching="auto", max_batch=16).status == 200
    assert in_force(core) == ("process", "auto", 16)
    assert worker_pid(core) > 0


def test_a_package_that_says_nothing_gets_the_servers_defaults(core, package):
    assert register(core, package("{}")).status == 200
    assert in_force(core) == ("process", "auto", 64)


@pytest.mark.parametrize("serving, says", [
    ("{isolation: vm}", "spec.serving.isolation: 'vm' is none of 'process', 'unsafe-process', 'none'"),
    ("{batching: maybe}", "spec.serving.batching: 'maybe' is none of 'auto', 'on', 'off'"),
    ("{max_batch: many}", "spec.serving.max_batch: wanted a whole number"),
])
def test_an_unknown_value_in_the_manifest_is_refused_by_name(core, package, serving, says):
    answer = register(core, package(serving))
    assert answer.status >= 400 and says in answer.json["message"], answer


@pytest.mark.parametrize("more, says", [
    ({"isolation": "vm"}, "isolation 'vm' is unknown, wanted one of: process, unsafe-process, none"),
    ({"batching": "maybe"}, "batching 'maybe' is unknown, wanted one of: auto, on, off"),
    ({"max_batch": 70000}, "max_batch 70000: wanted at most 65536"),
    ({"max_batch": "8"}, "'max_batch': wanted a number of rows, got"),
    ({"max_batch": 1.5}, "'max_batch': wanted a number of rows, got 1.5"),
])
def test_an_unknown_value_in_the_registration_is_refused_by_name(core, package, more, says):
    answer = register(core, package("{}"), **more)
    assert answer.status >= 400 and says in answer.json["message"], answer


def test_switches_survive_a_restart(home, package):
    core = home.start_core()
    assert register(core, package("{}"), isolation="none", batching="off").status == 200
    core.stop()
    core = home.start_core()
    assert core.infer("local/switches@latest", {"x": [[1.0]]}).status == 200
    assert in_force(core) == ("none", "off", 1)
    assert worker_pid(core) == 0
