# SPDX-License-Identifier: Apache-2.0
"""Deadlines, priorities, refusals and where the time went, against the real server with a real model."""
import concurrent.futures

import mlos
import pytest

DIGITS = "local/digits@latest"


@pytest.fixture
def digits(home):
    core = home.start_core()
    home.axon("install", mlos.MODELS / "digits", "--as", "local/digits")
    home.axon("register", DIGITS)
    declared = core.get(f"/models/{DIGITS.replace('/', '%2F').replace('@', '%40')}").json["inputs"][0]
    shape = [1 if n < 0 else n for n in declared["shape"]]
    count = 1
    for n in shape:
        count *= n
    return core, {"inputs": {declared["name"]: {"data": [0.0] * count, "shape": shape}}}


def test_a_deadline_that_has_passed_is_504_and_an_unknown_priority_400(digits):
    core, body = digits
    assert core.infer(DIGITS, body, headers={"X-Deadline-Ms": "0"}).status == 504
    refused = core.infer(DIGITS, {**body, "parameters": {"priority": "urgent"}})
    assert refused.status == 400
    assert "realtime, high, normal, batch" in refused.json["message"]
    assert core.infer(DIGITS, {**body, "parameters": {"priority": "high", "timeout": 60_000_000}}).status == 200


def test_axon_why_shows_where_the_time_of_a_request_went(home, digits):
    core, body = digits
    answer = core.infer(DIGITS, body, headers={"X-Request-Id": "asked-1", "X-Priority": "high"})
    assert answer.status == 200
    assert answer.headers["x-request-id"] == "asked-1"
    trace = home.axon_json("why", "asked-1")
    assert trace["outcome"] == "ok"
    assert trace["priority"] == "high"
    assert abs(sum(s["us"] for s in trace["stages"]) - trace["total_us"]) <= 0.01 * trace["total_us"]
    text = home.axon("why", "asked-1").stdout
    assert "request asked-1  ok" in text
    assert "compute" in text
    assert home.axon("why", "never-asked", check=False).returncode == 1


def test_the_server_tells_quantiles_and_refusals(digits):
    core, body = digits
    for _ in range(20):
        assert core.infer(DIGITS, body).status == 200
    core.infer(DIGITS, body, headers={"X-Deadline-Ms": "0"})
    metrics = core.get("/metrics").body.decode()
    assert f'mlos_model_latency_seconds{{model="{DIGITS}",quantile="0.99"}}' in metrics
    assert core.get("/stats").json["refused"]["expired"] == 1


def test_many_at_once_are_all_answered_each_with_its_own(digits):
    core, body = digits
    name = next(iter(body["inputs"]))
    count = len(body["inputs"][name]["data"])
    bodies = [{"inputs": {name: {**body["inputs"][name], "data": [((i * 7 + j) % 16) / 16 for j in range(count)]}}} for i in range(8)]
    alone = [core.infer(DIGITS, b).json["outputs"] for b in bodies]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: (i % 8, core.infer(DIGITS, bodies[i % 8])), range(400)))
    for i, answer in answers:
        assert answer.status == 200, answer
        for output, value in answer.json["outputs"].items():
            expected = alone[i][output]
            assert value["shape"] == expected["shape"]
            assert value["data"] == pytest.approx(expected["data"], rel=1e-4, abs=1e-5)
