# SPDX-License-Identifier: Apache-2.0
"""The quick start of the README, word for word, and the whole line behind it: install, register, ask, restart, forget."""
import json
import os
import shutil
import subprocess
import urllib.request

import mlos
import numpy as np
import pytest
import vectors

BERT = "hf/bert-base-uncased@latest"


def shell(home, line):
    """Runs a line of the README as a user's shell would, with the programs on the PATH."""
    environment = {**home.environment, "PATH": f"{mlos.binary_folder()}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", line], env=environment, cwd=home.folder, capture_output=True, text=True, timeout=60)


def test_the_quick_start_works_word_for_word(home, mirror):
    """The core listens on 8080 as the README's curl line expects; where that port is taken, the line is changed to a free one."""
    core = home.start_core()
    for line in ("axon install hf/bert-base-uncased@latest", "axon register hf/bert-base-uncased@latest"):
        done = shell(home, line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    curl = ("curl -X POST http://localhost:8080/models/hf%2Fbert-base-uncased%40latest/inference "
            "-H \"Content-Type: application/json\" "
            "-d '{\"input_ids\": [101, 7592, 102], \"attention_mask\": [1, 1, 1]}'")
    assert curl.split(" -d ")[1] in (mlos.ROOT / "README.md").read_text(), "the README shows this line"
    done = shell(home, "curl -sS " + curl.removeprefix("curl ").replace("localhost:8080", f"localhost:{core.port}"))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "success", answer
    hidden = answer["outputs"]["last_hidden_state"]
    assert hidden["datatype"] == "FP32" and hidden["shape"] == [1, 3, 24]
    golden = json.loads((mlos.MODELS / "tiny-bert/golden.json").read_text())
    case = next(c for c in golden["cases"] if c["name"] == "hello")
    vectors.assert_close(np.ravel(case["outputs"]["last_hidden_state"]), hidden["data"])


def test_registrations_survive_a_restart_and_load_on_demand(home, mirror):
    core = home.start_core()
    home.axon("install", BERT)
    home.axon("register", BERT)
    assert core.stop() == 0
    core = home.start_core()
    models = core.get("/models").json["models"]
    assert [(m["id"], m["status"]) for m in models] == [(BERT, "registered")]
    answer = core.infer(BERT, {"input_ids": [101, 7592, 102]})
    assert answer.status == 200, answer
    assert core.get("/models").json["models"][0]["status"] in ("ready", "loaded")


def test_unregister_forgets_the_model(home, mirror):
    core = home.start_core()
    home.axon("install", BERT)
    home.axon("register", BERT)
    home.axon("unregister", BERT)
    assert core.get("/models").json["models"] == []
    assert core.infer(BERT, {"input_ids": [101]}).status == 404


def test_text_goes_in_and_the_frameworks_vectors_come_out(home, mirror):
    core = home.start_core()
    home.axon("install", "hf/mlos-test/tiny-sbert")
    home.axon("register", "hf/mlos-test/tiny-sbert")
    golden = json.loads((mlos.MODELS / "tiny-sbert/golden.json").read_text())
    for case in golden["sentences"]:
        answer = core.infer("hf/mlos-test/tiny-sbert@latest", {"inputs": case["text"]})
        assert answer.status == 200, answer
        vectors.assert_close(case["embedding"], answer.json["outputs"]["sentence_embedding"]["data"])
    texts = [case["text"] for case in golden["sentences"]]
    answer = core.infer("hf/mlos-test/tiny-sbert@latest", {"inputs": texts}).json["outputs"]["sentence_embedding"]
    assert answer["shape"][0] == len(texts)
    vectors.assert_close(np.ravel([case["embedding"] for case in golden["sentences"]]), answer["data"])


def test_truncation_is_reported(home, mirror):
    core = home.start_core()
    home.axon("install", "hf/mlos-test/tiny-sbert")
    home.axon("register", "hf/mlos-test/tiny-sbert")
    answer = core.infer("hf/mlos-test/tiny-sbert@latest", {"inputs": "hello " * 100}).json
    assert any("102" in w and "16" in w for w in answer["warnings"]), answer.get("warnings")
    assert not core.infer("hf/mlos-test/tiny-sbert@latest", {"inputs": "hello"}).json.get("warnings")


def test_the_language_model_adds(home, mirror):
    core = home.start_core()
    home.axon("install", "hf/mlos-test/addition")
    home.axon("register", "hf/mlos-test/addition")
    golden = json.loads((mlos.MODELS / "addition/golden.json").read_text())
    model = "hf/mlos-test/addition@latest"
    for case in golden["completions"][:10]:
        answer = core.infer(model, {"prompt": case["prompt"], "max_tokens": 200, "temperature": 0})
        assert answer.status == 200, answer
        assert answer.json["text"] == case["text"], case["prompt"]
        assert answer.json["prompt_tokens"] == len(case["ids"])
    case = golden["completions"][0]
    events = list(core.events(f"/models/{model}/inference",
                              {"prompt": case["prompt"], "max_tokens": 200, "temperature": 0, "stream": True}))
    assert events[-1] == "[DONE]"
    frames = [json.loads(e) for e in events[:-1]]
    assert "".join(f.get("text", "") for f in frames[:-1]) == case["text"]
    assert frames[-1]["done"] is True and frames[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
                                   "bfloat16", "float32", "float64", "string"])
def test_every_dtype_goes_through_the_whole_line(core, home, models, dtype):
    values = {"bool": [True, False, True], "string": ["a", "", "\u00e9"]}.get(dtype, [1, 0, 7])
    home.axon("install", models / f"onnx/identity_{dtype}.onnx", "--as", f"local/{dtype}")
    home.axon("register", f"local/{dtype}")
    for body in ({"x": values}, {"x": [values]}, {"inputs": {"x": [values]}}):
        answer = core.infer(f"local/{dtype}@latest", body)
        assert answer.status == 200, answer
        assert answer.json["outputs"]["y"]["shape"] == [1, 3]
        assert answer.json["outputs"]["y"]["data"] == values


def test_two_cores_on_one_port_is_a_clear_error(home, core):
    done = subprocess.run([mlos.program("mlos-core"), "--port", str(core.port), "--home", str(home.folder / "other")],
                          env=home.environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert str(core.port) in done.stderr and "in use" in done.stderr
    assert urllib.request.urlopen(core.url + "/health", timeout=10).status == 200, "the first one is not disturbed"


def test_a_model_that_does_not_load_is_not_registered(core, home, models, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    data = (models / "digits/model.onnx").read_bytes()
    (broken / "model.onnx").write_bytes(data[: len(data) // 2])
    answer = core.post("/models/register", {"model_id": "local/broken@latest", "path": str(broken / "model.onnx")})
    assert answer.status == 422, answer
    assert "model.onnx" in answer.json["message"]
    assert core.get("/models").json["models"] == []


def test_requests_in_flight_finish_when_the_core_is_told_to_stop(home, models):
    import threading
    core = home.start_core()
    home.axon("install", models / "onnx/slow.onnx", "--as", "local/slow")
    home.axon("register", "local/slow")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(core.infer("local/slow@latest", {"iterations": 100_000})))
    thread.start()
    while core.get("/stats").json.get("running", 0) == 0 and thread.is_alive():
        pass
    assert core.stop() == 0
    thread.join()
    assert answers[0].status == 200, answers[0]


def test_an_empty_home_lists_nothing(home):
    assert home.axon_json("list") == []
    shutil.rmtree(home.path)
    assert home.axon_json("list") == []
