# SPDX-License-Identifier: Apache-2.0
"""A plugin that attacks (tests/hostile) behind a running mlos-core: the one who asked is told what happened, everybody else is
served as before, and the attacker's model comes back."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import mlos
import pytest

ATTACKER = "t/attacker@1"
BYSTANDER = "t/bystander@1"
BACK_WITHIN_S = 60
CONFIG = """
core:
  isolation: process
workers:
  hang_timeout_ms: 2000
  stuck_timeout_ms: 2000
"""


def plugin_folders():
    attacker = mlos.binary_folder().parent / "tests" / "plugins" / "attacker"
    if not attacker.exists():
        pytest.skip("the attacker plugin is not built")
    return ["--plugin-dir", mlos.binary_folder() / "plugins", "--plugin-dir", attacker]


def start(home, folder, config=CONFIG):
    (folder / "core.yaml").write_text(config)
    core = home.start_core("--config", folder / "core.yaml", *plugin_folders())
    package = folder / "package"
    package.mkdir()
    (package / "model.txt").write_text("attacker 1\n")
    (folder / "echo.txt").write_text("echo 1\ninput x FP32 1\n")
    for model, path, plugin in ((ATTACKER, package / "model.txt", "attacker"), (BYSTANDER, folder / "echo.txt", "echo")):
        answer = core.post("/models/register", {"model_id": model, "path": str(path), "plugin_id": plugin})
        assert answer.status == 200, answer
    return core


@pytest.fixture
def core(home, tmp_path):
    return start(home, tmp_path)


def attack(core, name, argument="", **options):
    return core.infer(ATTACKER, {"attack": [name, str(argument)]}, **options)


def outcome(answer):
    assert answer.status == 200, answer
    return answer.json["outputs"]["outcome"]["data"][0]


def assert_others_are_served(core):
    assert core.get("/health").json["status"] == "healthy"
    answer = core.infer(BYSTANDER, {"x": [3.0]})
    assert answer.status == 200 and answer.json["outputs"]["x"]["data"] == [3], answer


def assert_comes_back(core):
    deadline = time.monotonic() + BACK_WITHIN_S
    while (answer := attack(core, "none")).status != 200:
        assert answer.status == 503 and time.monotonic() < deadline, answer
        time.sleep(0.05)
    assert outcome(answer) == "done"


def wait_until(condition):
    deadline = time.monotonic() + BACK_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def worker(core, model=ATTACKER):
    return next(w for w in core.get("/doctor").json["workers"] if w["model_id"] == model)


def needs(core, *mechanisms):
    states = {m["mechanism"]: m for m in worker(core)["sandbox"]}
    for mechanism in mechanisms:
        if states[mechanism]["state"] != "in_force":
            pytest.skip(f"{mechanism}: {states[mechanism]['detail']}")


@pytest.mark.parametrize("name, argument, says", [
    ("segfault", "", "signal 11"),
    ("abort", "", "signal 6"),
    ("deep_stack", "", "signal 11"),
    ("exit", "3", "status 3"),
    ("lie_wild", "", "signal 11"),
])
def test_a_crash_costs_its_own_request_and_says_what_happened(core, name, argument, says):
    answer = attack(core, name, argument)
    assert answer.status == 503 and "retry-after" in answer.headers, answer
    assert says in answer.json["message"] and "attacker" in answer.json["message"]
    assert_others_are_served(core)
    assert_comes_back(core)
    assert worker(core)["restarts"] == 1


def test_a_request_that_kills_twice_is_refused(core):
    for _ in range(2):
        assert attack(core, "abort").status == 503
        assert_comes_back(core)
    before = worker(core)["pid"]
    answer = attack(core, "abort")
    assert answer.status >= 400 and "signal 6" in answer.json["message"], answer
    assert worker(core)["pid"] == before, "the worker did not see it"


@pytest.mark.parametrize("lie, says", [
    ("lie_dtype", "has 4 bytes"), ("lie_shape", "outcome"), ("lie_size", "bytes"), ("lie_name", "treasure"), ("lie_null", "no data")])
def test_a_lie_about_the_output_is_an_error_that_names_the_plugin(core, lie, says):
    answer = attack(core, lie)
    assert answer.status == 500, answer
    assert "attacker" in answer.json["message"] and says in answer.json["message"]
    assert_others_are_served(core)
    assert worker(core)["restarts"] == 0


@pytest.mark.parametrize("name, argument", [
    ("fork", ""), ("system", "exit 0"), ("kill_parent", ""), ("signal_all", ""), ("pin_parent", ""), ("shared_memory", ""),
    ("raise_limits", ""), ("write_file", "/proc/self/oom_score_adj")])
def test_what_concerns_other_processes_is_refused(core, name, argument):
    needs(core, "system_calls")
    assert outcome(attack(core, name, argument)).startswith("refused: ")
    assert_others_are_served(core)
    assert worker(core)["restarts"] == 0


@pytest.mark.parametrize("name", ["exec", "ptrace_parent"])
def test_what_only_an_attack_does_ends_the_worker(core, name):
    needs(core, "system_calls")
    answer = attack(core, name)
    assert answer.status == 503 and "sandbox" in answer.json["message"], answer
    assert_others_are_served(core)
    assert_comes_back(core)


def test_no_file_but_the_package_is_read_and_none_is_written(core, tmp_path):
    states = {m["mechanism"]: m["state"] for m in worker(core)["sandbox"]}
    if "in_force" not in (states["mount_namespace"], states["landlock"]):
        pytest.skip("nothing confines files here")
    foreign = tmp_path / "secret"
    foreign.write_text("secret")
    package = tmp_path / "package"
    assert outcome(attack(core, "read_file", package / "model.txt")) == "done"
    for path in (foreign, "/etc/passwd", f"/proc/{core.process.pid}/mem", tmp_path / "echo.txt"):
        assert outcome(attack(core, "read_file", path)).startswith("refused: "), path
    for path in (foreign, package / "model.txt", package / "new"):
        assert outcome(attack(core, "write_file", path)).startswith("refused: "), path
    assert outcome(attack(core, "remove_file", package / "model.txt")).startswith("refused: ")
    assert foreign.read_text() == "secret" and (package / "model.txt").exists() and not (package / "new").exists()


def test_no_listener_is_reached_not_even_the_daemon(core):
    needs(core, "system_calls")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        assert outcome(attack(core, "connect", listener.getsockname()[1])).startswith("refused: ")
    assert outcome(attack(core, "connect", core.port)).startswith("refused: ")


@pytest.mark.parametrize("name", ["hang", "sleep", "block_signals"])
def test_a_call_that_never_ends_costs_its_own_deadline(core, name):
    answer = core.infer(ATTACKER, {"inputs": {"attack": [name, ""]}, "parameters": {"timeout": 500_000}})
    assert answer.status == 504, answer
    assert_others_are_served(core)
    assert_comes_back(core)


def test_a_worker_that_stops_itself_is_replaced(core):
    answer = attack(core, "stop")
    assert answer.status == 503 and "no sign of life" in answer.json["message"], answer
    assert_others_are_served(core)
    assert_comes_back(core)


def test_a_worker_that_somebody_stops_is_replaced(core):
    before = worker(core, BYSTANDER)["pid"]
    os.kill(before, signal.SIGSTOP)
    answer = core.infer(BYSTANDER, {"x": [1.0]})
    assert answer.status in (200, 503), answer
    deadline = time.monotonic() + BACK_WITHIN_S
    while (answer := core.infer(BYSTANDER, {"x": [1.0]})).status != 200:
        assert answer.status == 503 and time.monotonic() < deadline, answer
        time.sleep(0.05)
    assert worker(core, BYSTANDER)["pid"] not in (0, before)
    assert outcome(attack(core, "none")) == "done"


def test_a_worker_that_is_killed_costs_its_own_requests_and_is_back(core):
    before = worker(core)["pid"]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(attack(core, "sleep")))
    thread.start()
    wait_until(lambda: core.get("/stats").json["running"] > 0)
    time.sleep(0.2)  # it is on its way to the worker; a request that has not reached it would wait for the next one
    os.kill(before, signal.SIGKILL)
    killed = time.monotonic()
    thread.join(BACK_WITHIN_S)
    assert answers and answers[0].status == 503 and "signal 9" in answers[0].json["message"], answers
    assert_comes_back(core)
    assert time.monotonic() - killed < BACK_WITHIN_S
    assert_others_are_served(core)


def test_rubbish_in_the_shared_memory_harms_only_the_one_who_wrote_it(core):
    answer = attack(core, "scribble")
    assert answer.status in (200, 500, 503), answer
    assert_others_are_served(core)
    assert_comes_back(core)
    assert_others_are_served(core)


def test_files_closed_under_the_worker_end_it_alone(core):
    answer = attack(core, "close_files")
    assert answer.status in (200, 503), answer
    assert_others_are_served(core)
    assert_comes_back(core)


def test_a_leak_meets_the_wall_and_the_daemon_lives(home, tmp_path):
    core = start(home, tmp_path, CONFIG + "  private_mb: 256\n")
    assert outcome(attack(core, "leak")).startswith("refused: no memory after ")
    answer = attack(core, "leak_and_crash")
    assert answer.status == 503 and "memory" in answer.json["message"], answer
    assert_others_are_served(core)
    assert_comes_back(core)
    assert outcome(attack(core, "threads")).startswith("refused: ")


def test_a_model_that_crashes_while_it_loads_is_not_registered(core, tmp_path):
    (tmp_path / "package" / "bad.txt").write_text("attacker 1\nat_load segfault\n")
    answer = core.post("/models/register", {"model_id": "t/bad@1", "path": str(tmp_path / "package" / "bad.txt"),
                                            "plugin_id": "attacker"})
    assert answer.status >= 400 and "signal 11" in answer.json["message"], answer
    assert core.get("/models/t/bad@1").status == 404
    assert_others_are_served(core)


FULL_SHM = """set -e
mount -t tmpfs -o size=64k tmpfs /dev/shm
dd if=/dev/zero of=/dev/shm/full bs=4k 2>/dev/null || true
if echo more > /dev/shm/more; then exit 9; fi 2>/dev/null
exec "$@"
"""


def test_a_full_dev_shm_takes_nothing_from_workers(home, tmp_path, monkeypatch):
    """Their shared memory is anonymous (memfd), which /dev/shm does not limit."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a mount namespace of its own, which root may make")
    monkeypatch.setattr(mlos.Home, "start_core", lambda self, *arguments: start_wrapped(
        self, ["unshare", "-m", "sh", "-c", FULL_SHM, "sh", mlos.program("mlos-core"), *map(str, arguments)]))
    core = start(home, tmp_path)
    assert worker(core)["pid"] > 0
    assert_others_are_served(core)
    assert outcome(attack(core, "none")) == "done"


def start_wrapped(home, command):
    core = mlos.Core(command, home.environment, home.folder)
    home.servers.append(core)
    return core


def test_doctor_shows_the_sandbox_of_every_worker(home, core):
    done = home.axon("doctor", "--json", check=False, environment={"MLOS_PLUGIN_PATH": str(mlos.binary_folder() / "plugins")})
    findings = {(f["group"], f["check"]): f for f in json.loads(done.stdout)["findings"]}
    assert findings["core", "mlos-core"]["verdict"] == "ok"
    for model in (ATTACKER, BYSTANDER):
        assert f"process {worker(core, model)['pid']}: " in findings["workers", model]["found"]
    assert done.returncode == (1 if any(f["verdict"] == "fail" for f in findings.values()) else 0)
