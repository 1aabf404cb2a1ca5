# SPDX-License-Identifier: Apache-2.0
"""More requests than can be served, and clients that do not read: the daemon stays small, quick and alive."""
import errno
import json
import resource
import selectors
import socket
import statistics
import time

import pytest

REQUESTS = 10_000
SLOW = "t/slow@1"
TALKER = "t/talker@1"
LIMIT_S = 120


def resident_mib(core):
    with open(f"/proc/{core.process.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def register(core, folder, model, text):
    path = folder / (model.split("/")[1].split("@")[0] + ".txt")
    path.write_text(text)
    answer = core.post("/models/register", {"model_id": model, "path": str(path), "plugin_id": "echo"})
    assert answer.status == 200, answer


def request_bytes(model, body):
    data = json.dumps(body).encode()
    return (f"POST /models/{model}/inference HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


class Flood:
    """Many connections at once, one request each; remembers the status of every answer and how long it took."""

    def __init__(self, port, request):
        self.port = port
        self.request = request
        self.selector = selectors.DefaultSelector()
        self.statuses = []
        self.seconds = {200: [], 503: []}
        self.retry_after = 0
        self.lost = 0

    def open(self):
        connection = socket.socket()
        connection.setblocking(False)
        code = connection.connect_ex(("127.0.0.1", self.port))
        assert code in (0, errno.EINPROGRESS), code
        state = {"out": self.request, "in": b"", "begun": time.monotonic()}
        self.selector.register(connection, selectors.EVENT_WRITE, state)

    def step(self, timeout):
        for key, events in self.selector.select(timeout):
            try:
                self.serve(key, events)
            except (ConnectionResetError, BrokenPipeError):
                self.finish(key)

    def serve(self, key, events):
        connection, state = key.fileobj, key.data
        if events & selectors.EVENT_WRITE:
            state["out"] = state["out"][connection.send(state["out"]):]
            if not state["out"]:
                self.selector.modify(connection, selectors.EVENT_READ, state)
            return
        data = connection.recv(65536)
        state["in"] += data
        if not data:
            self.finish(key)

    def finish(self, key):
        self.selector.unregister(key.fileobj)
        key.fileobj.close()
        if not key.data["in"]:
            self.lost += 1
            return
        status = int(key.data["in"].split(b" ", 2)[1])
        self.statuses.append(status)
        self.seconds.setdefault(status, []).append(time.monotonic() - key.data["begun"])
        self.retry_after += b"\r\nretry-after:" in key.data["in"].lower()

    @property
    def under_way(self):
        return len(self.selector.get_map())


def test_ten_thousand_requests_are_served_or_refused_and_leave_no_memory_behind(home, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < REQUESTS + 100:
        pytest.skip(f"needs {REQUESTS} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = tmp_path / "core.yaml"
    config.write_text("core:\n  threads: 2\n  max_queue: 256\n")
    core = home.start_core("--config", config)
    register(core, tmp_path, SLOW, "echo 1\ninput x FP32 1\ndelay_us 5000\n")
    before = resident_mib(core)
    flood = Flood(core.port, request_bytes(SLOW, {"x": [1.0]}))
    deadline = time.monotonic() + LIMIT_S
    opened = 0
    largest = before
    while opened < REQUESTS or flood.under_way:
        assert time.monotonic() < deadline, f"{flood.under_way} of {opened} requests have no answer"
        for _ in range(min(200, REQUESTS - opened)):
            flood.open()
            opened += 1
        flood.step(0.05)
        largest = max(largest, resident_mib(core))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert flood.lost == 0, f"{flood.lost} connections ended without an answer"
    assert len(flood.statuses) == REQUESTS
    assert set(flood.statuses) <= {200, 503}
    served, refused = flood.statuses.count(200), flood.statuses.count(503)
    assert served >= 256, f"{served} served, {refused} refused"
    assert refused > 0 and flood.retry_after == refused
    assert statistics.median(flood.seconds[503]) < 5, "a refusal does not wait for its turn"
    assert largest - before < 400, f"grew from {before:.0f} to {largest:.0f} MiB"
    assert core.get("/health/ready").status == 200
    assert core.infer(SLOW, {"x": [2.0]}).json["outputs"]["x"]["data"] == [2]


def test_a_client_that_stops_reading_its_stream_costs_no_memory_and_nobody_else(home, tmp_path):
    # In process, where the text comes faster than the front end keeps it.
    core = home.start_core("--isolation", "none")
    register(core, tmp_path, TALKER, "echo 1\ngenerate\n")
    words = "word " * 2_000_000  # ten megabytes, sent back as two million events
    before = resident_mib(core)
    connection = socket.create_connection(("127.0.0.1", core.port), timeout=60)
    connection.sendall(request_bytes(TALKER, {"prompt": words, "stream": True}))
    assert connection.recv(12).startswith(b"HTTP/1.1 200")
    answer = core.infer(TALKER, {"prompt": "one two"})
    assert answer.status == 200 and answer.json["text"] == "one two", answer
    assert resident_mib(core) - before < 200
    received = 0
    try:
        while piece := connection.recv(1 << 20):
            received += len(piece)
    except ConnectionResetError:
        pass
    assert received < 30 << 20, "fifty megabytes of events were to come: the stream is cut off, not kept for later"
    connection.close()
