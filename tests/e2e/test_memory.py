# SPDX-License-Identifier: Apache-2.0
"""Ten models on memory for three, keep-alive, versions, swaps, and axon ps, load, stop and versions, with a real mlos-core."""
import concurrent.futures
import json
import os
import struct
import threading
import time

import pytest

import mlos

MODELS = 10
SIDE = 512  # a model is a matrix of SIDE x SIDE floats: 1 MiB


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name, *shape):
    dims = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def write_scaling_model(path, factor, side=SIDE):
    """y = x W in ONNX, with W = factor times the identity of side x side."""
    row = struct.pack(f"<{side + 1}f", factor, *[0.0] * side)
    weights = (row * side)[: side * side * 4]
    tensor = field(1, side) + field(1, side) + field(2, 1) + field(8, "W") + field(9, weights)
    node = field(1, "x") + field(1, "W") + field(2, "y") + field(3, "scale") + field(4, "MatMul")
    graph = (field(1, node) + field(2, "g") + field(5, tensor) + field(11, value_info("x", "N", side))
             + field(12, value_info("y", "N", side)))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))


@pytest.fixture
def scaling(tmp_path):
    """scaling(factor) -> the path of a model that multiplies by it."""
    def make(factor):
        path = tmp_path / f"times{factor}.onnx"
        if not path.exists():
            write_scaling_model(path, factor)
        return str(path)
    return make


def register(core, model, path, **more):
    answer = core.post("/models/register", {"model_id": model, "path": path, **more})
    assert answer.status == 200, answer
    return answer.json


def ask(core, model, **more):
    """The factor that the model multiplies by, as it answers; or the refusal."""
    answer = core.infer(model, {"x": [1.0] * SIDE, **more})
    return round(answer.json["outputs"]["y"]["data"][3]) if answer.status == 200 else answer


def ps(core):
    return core.get("/ps").json


def row(core, model):
    return next(m for m in ps(core)["models"] if m["id"] == model)


def lease_of(core, model):
    m = row(core, model)
    return m["lease_private_bytes"] + m["lease_shared_bytes"]


def peak_to_load(home, scaling):
    """What one such model needs while it loads, the weights cached or not, as the refusal of a budget of 1 MB tells it."""
    core = home.start_core("--memory-budget", "1MB")
    answer = core.post("/models/register", {"model_id": "t/x", "path": scaling(1)})
    assert answer.status == 409 and "needs up to" in answer.json["message"], answer
    core.stop()
    number, unit = answer.json["message"].split("needs up to ")[1].split(",")[0].split(" ")
    return float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_ten_models_on_memory_for_three(home, scaling, isolation):
    budget = int(3.2 * peak_to_load(home, scaling))
    core = home.start_core("--memory-budget", budget, "--isolation", isolation)
    for i in range(MODELS):
        register(core, f"t/m{i}", scaling(i + 1))
    wrong = []
    over = []
    done = threading.Event()

    def client(seed):
        for step in range(30):
            i = (step * 7 + seed * 3) % MODELS
            got = ask(core, f"t/m{i}")
            if got != i + 1:
                wrong.append(f"m{i}: {got}")

    def watch():
        while not done.is_set():
            memory = ps(core)["memory"]
            if memory["leased_bytes"] > memory["budget_bytes"]:
                over.append(memory)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(client, range(6)))
    report = ps(core)
    done.set()
    watcher.join()
    assert wrong == []
    assert over == []
    loaded = [m for m in report["models"] if m["state"] == "ready"]
    assert 0 < len(loaded) < MODELS
    if isolation == "process":
        assert len({m["pid"] for m in loaded}) == len(loaded)
        assert sum(m["private_bytes"] for m in loaded) <= budget, "measured"
    assert sum(m["loads"] for m in report["models"]) > MODELS, "models were loaded again on demand"
    assert report["memory"]["evictions"]["room"] > 0
    assert core.process.poll() is None
    metrics = core.get("/metrics").body.decode()
    assert f"mlos_memory_budget_bytes {budget}\n" in metrics
    assert 'mlos_model_unloads_total{reason="room"}' in metrics


def test_what_can_never_fit_is_refused_with_both_numbers(home, scaling):
    core = home.start_core("--memory-budget", "1MB")
    answer = core.post("/models/register", {"model_id": "t/x", "path": scaling(1)})
    assert answer.status == 409
    assert "the memory budget is 1.0 MB" in answer.json["message"]
    assert core.get("/models").json["models"] == []


def test_pinned_models_in_the_way_are_named_and_the_client_told_to_retry(home, scaling):
    core = home.start_core()
    register(core, "t/a", scaling(1))
    register(core, "t/b", scaling(2))
    held = lease_of(core, "t/b@latest")
    core.stop()
    # Room for one load, not for one beside what the pinned one keeps.
    core = home.start_core("--memory-budget", int(peak_to_load(home, scaling) + held / 2))
    home.axon("load", "t/b", "--pin")
    answer = core.infer("t/a", {"x": [1.0] * SIDE})
    assert answer.status == 503 and "t/b@latest" in answer.json["message"] and "(pinned)" in answer.json["message"]
    assert int(answer.headers["retry-after"]) > 0
    home.axon("load", "t/b", "--unpin")
    assert ask(core, "t/a") == 1


def test_keep_alive_of_server_request_and_header(home, scaling):
    core = home.start_core("--keep-alive", "1s")
    register(core, "t/a", scaling(3))
    assert row(core, "t/a@latest")["expires_in_ms"] <= 1000

    def wait_until_unloaded():
        limit = time.monotonic() + 20
        while row(core, "t/a@latest")["state"] == "ready":
            assert time.monotonic() < limit
            time.sleep(0.02)

    wait_until_unloaded()
    assert ask(core, "t/a", keep_alive=0) == 3
    wait_until_unloaded()
    assert ask(core, "t/a", parameters={"keep_alive": "5m"}) == 3
    assert row(core, "t/a@latest")["keep_alive"] == "5m"
    done = core.infer("t/a", {"x": [1.0] * SIDE}, headers={"X-Keep-Alive": "-1", "Content-Type": "application/json"})
    assert done.status == 200
    assert row(core, "t/a@latest")["keep_alive"] == "forever"
    bad = core.infer("t/a", {"x": [1.0] * SIDE, "keep_alive": "soon"})
    assert bad.status == 400 and "keep_alive" in bad.json["message"]


def test_a_swap_under_load_fails_no_request(home, scaling):
    core = home.start_core()
    register(core, "t/a", scaling(1))
    done = threading.Event()
    answers = []

    def client():
        while not done.is_set():
            answers.append(ask(core, "t/a"))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for c in clients:
        c.start()
    for factor in (2, 3, 1, 2):
        register(core, "t/a", scaling(factor))
    broken = core.post("/models/register", {"model_id": "t/a", "path": str(mlos.MODELS / "README.md")})
    assert broken.status != 200
    done.set()
    for c in clients:
        c.join()
    assert set(map(str, answers)) <= {"1", "2", "3"}, [a for a in answers if not isinstance(a, int)][:3]
    assert ask(core, "t/a") == 2, "a swap that failed changed nothing"


def test_versions_side_by_side(home, scaling):
    core = home.start_core()
    register(core, "t/a@v1", scaling(1))
    register(core, "t/a@v2", scaling(2))
    assert [ask(core, m) for m in ("t/a@v1", "t/a@v2", "t/a", "t/a@latest")] == [1, 2, 2, 2]
    home.axon("versions", "t/a", "--latest", "v1")
    assert ask(core, "t/a") == 1
    versions = {v["version"]: v for v in home.axon_json("versions", "t/a")}
    assert versions["v1"]["latest"] and not versions["v2"]["latest"]
    home.axon("stop", "t/a@v1")
    assert core.get("/models/t%2Fa%40v1/ready").status == 503
    assert core.get("/models/t%2Fa%40v2/ready").status == 200
    missing = home.axon("versions", "t/a", "--latest", "v9", check=False)
    assert missing.returncode == 1 and "v9" in missing.stderr
    # What was chosen is still so after a restart.
    core.stop()
    core = home.start_core()
    assert ask(core, "t/a") == 1


def test_ps_load_and_stop(home, scaling):
    core = home.start_core("--memory-budget", "3GB")
    assert "no models are loaded" in home.axon("ps").stdout
    register(core, "t/a", scaling(5))
    assert ask(core, "t/a") == 5
    table = home.axon("ps").stdout
    line = next(line for line in table.splitlines() if line.startswith("t/a@latest"))
    assert "ready" in line and "in 5m" in line, table
    assert "of 3.0 GB in use" in table and "budget: core.memory_budget" in table
    report = home.axon_json("ps")
    assert report["models"][0]["requests_ok"] == 1 and report["models"][0]["p50_ms"] > 0
    assert home.axon("top", "--once").stdout.splitlines()[0].startswith("MODEL")
    assert "unloaded t/a" in home.axon("stop", "t/a").stdout
    assert "t/a@latest" not in home.axon("ps").stdout
    assert "t/a@latest" in home.axon("ps", "--all").stdout
    again = home.axon("stop", "t/a", check=False)
    assert again.returncode == 1 and "not loaded" in again.stderr
    assert "kept for 1h" in home.axon("load", "t/a", "--keep-alive", "1h").stdout
    assert row(core, "t/a@latest")["keep_alive"] == "1h"
    usage = home.axon("load", "t/a", "--keep-alive", "soon", check=False)
    assert usage.returncode == 2 and "keep-alive" in usage.stderr


def test_top_redraws_on_a_terminal_until_q(home, scaling):
    core = home.start_core()
    register(core, "t/a", scaling(5))
    import pty
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(mlos.program("axon"), ["axon", "top", "--interval", "0.1"], {**home.environment, "TERM": "xterm"})
    seen = b""
    limit = time.monotonic() + 30
    while seen.count(b"\x1b[H") < 3 and time.monotonic() < limit:
        seen += os.read(terminal, 4096)
    os.write(terminal, b"q")
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"t/a@latest" in seen and seen.rstrip().endswith(b"\x1b[?1049l"), seen[-200:]


def test_preload_and_settings_in_the_file(home, scaling, tmp_path):
    core = home.start_core()
    register(core, "t/a", scaling(4), keep_alive="1h", pinned=True)
    core.stop()
    config = tmp_path / "mlos.yaml"
    config.write_text("core:\n  memory_budget: 50%\n  keep_alive: -1\n  preload: [t/a]\n")
    core = home.start_core("--config", config)
    limit = time.monotonic() + 20
    while row(core, "t/a@latest")["state"] != "ready":
        assert time.monotonic() < limit
        time.sleep(0.02)
    m = row(core, "t/a@latest")
    assert m["pinned"] and m["keep_alive"] == "1h"
    assert "50% of " in ps(core)["memory"]["budget_source"]
    assert json.loads(home.axon("ps", "--json").stdout)["memory"]["budget_bytes"] > 0
