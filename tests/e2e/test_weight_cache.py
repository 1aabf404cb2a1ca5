# SPDX-License-Identifier: Apache-2.0
"""The weight cache behind a running mlos-core: made once in a worker's own folder, moved in by the daemon, read by all workers, and
out of reach of a model that takes over its engine."""
import os

import pytest

import mlos
from test_memory import write_scaling_model

SIDE = 1536  # 9 MiB of weights: models from 8 MiB on are cached


@pytest.fixture
def wide(tmp_path):
    def make(factor):
        folder = tmp_path / f"times{factor}"
        folder.mkdir()
        write_scaling_model(folder / "model.onnx", factor, SIDE)
        return str(folder / "model.onnx")
    return make


def register(core, model, path, **more):
    answer = core.post("/models/register", {"model_id": model, "path": path, **more})
    assert answer.status == 200, answer


def assert_answers(core, model, factor):
    answer = core.infer(model, {"x": [[2.0] + [0.0] * (SIDE - 1)]})
    assert answer.status == 200 and answer.json["outputs"]["y"]["data"][0] == 2 * factor, str(answer)[:300]


def entries(home):
    root = next(home.folder.rglob("weights/onnxruntime"))
    return sorted(p for p in root.iterdir() if len(p.name) == 32)


def workers_map(core, path):
    """The pids of workers that have the file mapped."""
    pids = [w["pid"] for w in core.get("/doctor").json["workers"] if w["pid"]]
    return [pid for pid in pids if str(path) in open(f"/proc/{pid}/maps").read()]


def test_an_entry_is_made_once_and_mapped_by_every_worker(home, wide):
    core = home.start_core()
    path = wide(3)
    register(core, "t/first@1", path)
    assert_answers(core, "t/first@1", 3)
    (entry,) = entries(home)
    assert sorted(p.name for p in entry.iterdir()) == ["entry", "model.onnx", "weights.bin"]
    assert all(not os.stat(entry / name).st_mode & 0o222 for name in ("model.onnx", "weights.bin"))
    made = os.stat(entry / "weights.bin").st_ino
    register(core, "t/second@1", path)
    assert_answers(core, "t/second@1", 3)
    assert entries(home) == [entry] and os.stat(entry / "weights.bin").st_ino == made
    assert len(workers_map(core, entry / "weights.bin")) >= 1
    making = entry.parent.parent / "making"
    assert not any(name.startswith(("in-", "out-")) for folder in making.iterdir() if folder.is_dir()
                   for name in os.listdir(folder))
    core.stop()
    assert [p.name for p in making.iterdir()] == ["lock"], "drafts go with the daemon"


def test_what_a_killed_daemon_left_is_removed_by_the_next(home, wide):
    core = home.start_core()
    register(core, "t/first@1", wide(2))
    making = entries(home)[0].parent.parent / "making"
    left = [p for p in making.iterdir() if p.is_dir()]
    core.kill()
    assert all(p.exists() for p in left)
    core = home.start_core()
    assert not any(p.exists() for p in left)
    assert_answers(core, "t/first@1", 2)


def test_a_hostile_plugin_reaches_no_entry_of_another_model(home, wide, tmp_path):
    attacker = mlos.binary_folder().parent / "tests" / "plugins" / "attacker"
    if not attacker.exists():
        pytest.skip("the attacker plugin is not built")
    core = home.start_core("--plugin-dir", mlos.binary_folder() / "plugins", "--plugin-dir", attacker)
    register(core, "t/victim@1", wide(5))
    (entry,) = entries(home)
    (tmp_path / "attacker.txt").write_text("attacker 1\n")
    register(core, "t/attacker@1", str(tmp_path / "attacker.txt"), plugin_id="attacker")
    states = {m["mechanism"]: m["state"] for w in core.get("/doctor").json["workers"] if w["model_id"] == "t/attacker@1"
              for m in w["sandbox"]}
    if "in_force" not in (states["mount_namespace"], states["landlock"]):
        pytest.skip("nothing confines files here")
    for attack in ("write_file", "remove_file", "chmod_file"):
        for name in ("weights.bin", "model.onnx", "entry"):
            answer = core.infer("t/attacker@1", {"attack": [attack, str(entry / name)]})
            assert answer.status == 200, answer
            assert answer.json["outputs"]["outcome"]["data"][0].startswith("refused: "), (attack, name)
    assert core.post("/models/t%2Fvictim@1/unload", {}).status == 200
    assert_answers(core, "t/victim@1", 5)
