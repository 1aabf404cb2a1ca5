# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the server share: models, a server, closed and open loads. Standard library only."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLOS_BUILD", ROOT / "build/release"))
TOOLS = BUILD / "benchmarks"
FOLDER = pathlib.Path(os.environ.get("MLOS_CACHE_DIR", pathlib.Path.home() / ".cache/mlos")) / "bench/serving"
CPUS = len(os.sched_getaffinity(0))
TARGETS = ["mlos-core", "mlos_plugin_onnxruntime", "bench_load", "bench_open_load", "bench_engine_load", "bench_http_load"]

sys.path.insert(0, str(ROOT / "bench/load"))
import make_models  # noqa: E402


class Shape:
    """A model of a real one's shape with random weights, and one request to it."""

    def __init__(self, name, made, sequence=None):
        self.name = name
        self.id = f"bench/{name}@1"
        self.path = f"/models/bench%2F{name}%401/inference"
        self.folder = FOLDER / name
        self.onnx = self.folder / "model.onnx"
        self.made = made
        self.sequence = sequence
        self.type = "application/json"
        self.body = FOLDER / f"{name}.body"

    def make(self):
        if not (self.folder / "model.safetensors").exists():
            print(f"making {self.name} ...", flush=True)
            make_models.write(self.folder, *self.made())
        if not self.onnx.exists():
            subprocess.run([TOOLS / "bench_load", "convert", self.folder], check=True)
        if self.sequence:
            self.body.write_text(json.dumps({"input_ids": [[1] * self.sequence], "attention_mask": [[1] * self.sequence]}), encoding="utf-8")
        else:
            # Height and width are free, so raw bytes would not say the shape.
            self.body.write_text(json.dumps({"pixel_values": [[[[0.5] * 224] * 224] * 3]}), encoding="utf-8")


MINILM = Shape("minilm", lambda: make_models.bert(6, 384), 16)
BERT_MEDIUM = Shape("bert-8x768", lambda: make_models.bert(8, 768), 16)
BERT_BASE = Shape("bert-base", make_models.bert, 16)
RESNET = Shape("resnet-50", make_models.resnet)


def prepare(shapes):
    subprocess.run(["cmake", "--build", BUILD, "--target", *TARGETS], check=True, stdout=subprocess.DEVNULL)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for shape in shapes:
        shape.make()


class Server:
    """An mlos-core of its own; `core` is what its configuration says under that name."""

    def __init__(self, shapes, **core):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mlos-bench-"))
        lines = ["logging: {level: warn}", "core:", *(f"  {key}: {json.dumps(value)}" for key, value in core.items())]
        (self.folder / "config.yaml").write_text("\n".join(lines) + ("\n" if core else " {}\n"), encoding="utf-8")
        port_file = self.folder / "port"
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen([BUILD / "bin/mlos-core", "--home", self.folder / "home", "--config", self.folder / "config.yaml",
                                             "--port", "0", "--port-file", port_file], stdout=log, stderr=log)
        while not port_file.exists() or not port_file.read_text().strip():
            if self.process.poll() is not None:
                sys.exit("mlos-core ended at its start:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)
        self.port = int(port_file.read_text())
        for shape in shapes:
            self.call("POST", "/models/register", json.dumps({"model_id": shape.id, "path": str(shape.onnx)}).encode())

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def statistics(self, shape):
        return self.call("GET", shape.path.removesuffix("/inference"))["statistics"]

    def closed(self, shape, connections, requests):
        """So many requests, each connection sending its next when its answer came."""
        return ask(TOOLS / "bench_http_load", self.port, shape.path + "?include_outputs=false", shape.body, shape.type, connections, requests)

    def open(self, seconds, rate, seed, deadlines, mix):
        """mix: (shape, share, slo_ms)."""
        words = [w for shape, share, slo_ms in mix for w in (shape.path + "?include_outputs=false", shape.body, shape.type, share, slo_ms)]
        return ask(TOOLS / "bench_open_load", self.port, seconds, rate, seed, int(deadlines), 512, *words)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        subprocess.run(["rm", "-rf", self.folder], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def ask(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr}")
    return json.loads(done.stdout)


def engine(shape, threads, callers, seconds, rows=1):
    """ONNX Runtime alone; `rps` counts rows."""
    return ask(TOOLS / "bench_engine_load", shape.onnx, threads, callers, seconds, shape.sequence or 224, rows)


def thread_counts():
    """1, 2, 4, ... and all CPUs: the numbers of threads that are told apart."""
    return sorted({1 << i for i in range(CPUS.bit_length()) if 1 << i <= CPUS} | {CPUS})


def heading(rounds):
    print(f"{rounds} rounds, interleaved; median (min .. max); {CPUS} CPUs, load {os.getloadavg()[0]:.1f}")
