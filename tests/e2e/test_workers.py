# SPDX-License-Identifier: Apache-2.0
"""Models in worker processes under a running mlos-core: killed, stopped, outlived; and a worker in another language."""
import os
import pathlib
import signal
import threading
import time

import pytest

DIGITS = "t/digits@1"
ECHO = "t/echo@1"
FOREIGN_WORKER = pathlib.Path(__file__).resolve().parent / "python_worker.py"


def register_echo(core, folder, text="echo 1\ninput x FP32 batch 3\n", model=ECHO):
    path = folder / "model.txt"
    path.write_text(text)
    return core.post("/models/register", {"model_id": model, "path": str(path), "plugin_id": "echo"})


def worker(core, model=ECHO):
    return next(w for w in core.get("/doctor").json["workers"] if w["model_id"] == model)


def alive(pid):
    """Zombies of another parent count as gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(condition, limit_s=20):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class Load:
    """Clients that ask until they are told to stop."""

    def __init__(self, core, clients):
        self.core = core
        self.answers = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]

    def run(self, number):
        count = 0
        while not self.stopping.is_set():
            count += 1
            answer = self.core.infer(ECHO, {"x": [number, count, 0]})
            self.answers.append((time.monotonic(), answer))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def test_a_killed_worker_costs_only_what_it_ran_and_is_back_within_a_second(home, tmp_path):
    core = home.start_core("--isolation", "process")
    # Each request takes long enough for some to be running at any moment.
    assert register_echo(core, tmp_path, "echo 1\ninput x FP32 batch 3\ndelay_us 5000\n").status == 200
    clients = 4
    with Load(core, clients) as load:
        wait_until(lambda: len(load.answers) > 40)
        killed_at = time.monotonic()
        os.kill(worker(core)["pid"], signal.SIGKILL)
        wait_until(lambda: any(at > killed_at + 0.02 and a.status == 200 for at, a in load.answers))
        first_good = min(at for at, a in load.answers if at > killed_at + 0.02 and a.status == 200)
        done = len(load.answers)
        wait_until(lambda: len(load.answers) > done + 100)
    failed = [a for _, a in load.answers if a.status != 200]
    assert all(a.status == 503 and int(a.headers["retry-after"]) >= 1 for a in failed), [str(a) for a in failed[:3]]
    assert len(failed) <= clients
    assert first_good - killed_at < 1
    assert worker(core)["restarts"] == 1


def test_no_worker_outlives_its_daemon(home, tmp_path):
    core = home.start_core("--isolation", "process")
    assert register_echo(core, tmp_path).status == 200
    pid = worker(core)["pid"]
    # Not even one that cannot notice.
    os.kill(pid, signal.SIGSTOP)
    core.kill()
    wait_until(lambda: not alive(pid))


def test_no_worker_is_left_after_a_clean_stop(home, tmp_path):
    core = home.start_core("--isolation", "process")
    assert register_echo(core, tmp_path).status == 200
    pid = worker(core)["pid"]
    assert core.stop() == 0
    assert not alive(pid)


def test_a_model_may_ask_to_run_inside_the_daemon(home, tmp_path):
    core = home.start_core("--isolation", "process")
    path = tmp_path / "model.txt"
    path.write_text("echo 1\ninput x FP32 batch 3\n")
    body = {"model_id": ECHO, "path": str(path), "plugin_id": "echo", "isolation": "none"}
    assert core.post("/models/register", body).status == 200
    assert worker(core)["isolation"] == "none" and worker(core)["pid"] == 0
    assert core.infer(ECHO, {"x": [1, 2, 3]}).status == 200
    refused = core.post("/models/register", {**body, "isolation": "jail"})
    assert refused.status == 400 and "wanted one of: process, unsafe-process, none" in refused.json["message"]


def test_a_start_without_the_worker_program_says_what_is_missing(home, tmp_path):
    config = tmp_path / "core.yaml"
    config.write_text("workers:\n  program: /nowhere/mlos-worker\n")
    with pytest.raises(RuntimeError, match="/nowhere/mlos-worker"):
        home.start_core("--isolation", "process", "--config", config)


def test_a_worker_in_python_that_follows_the_document_serves_a_model(home, tmp_path):
    config = tmp_path / "core.yaml"
    config.write_text(f"workers:\n  program: {FOREIGN_WORKER}\n")
    core = home.start_core("--isolation", "process", "--config", config)
    answer = register_echo(core, tmp_path)
    assert answer.status == 200, answer
    pid = worker(core)["pid"]
    assert "python_worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    for i in range(200):
        answer = core.infer(ECHO, {"x": [[i, 2, 3], [4, 5, 6]]}, headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer
    answer = core.post(f"/models/{ECHO}/inference?include_outputs=true".replace("@", "%40"), {"x": [[7, 8, 9]]})
    assert answer.status == 200 and "7" in answer.body.decode(), answer
    os.kill(pid, signal.SIGKILL)
    assert core.infer(ECHO, {"x": [1, 2, 3]}).status in (200, 503)
    assert core.infer(ECHO, {"x": [1, 2, 3]}).status == 200
