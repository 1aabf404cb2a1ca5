# SPDX-License-Identifier: Apache-2.0
"""Runs axon and mlos-core for end-to-end tests, each in a folder of its own, on ports the system picks. Standard library only.

    with Home(tmp_path) as home:
        home.axon("install", "./folder", "--as", "local/digits")
        core = home.start_core()
        answer = core.post("/models/register", {...})

Programs are found in $MLOS_BIN, else in build/release/bin. Everything that was started is stopped when the Home closes, and
what it wrote to standard error lands in the message of a failed start.
"""
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "models"
START_LIMIT_S = 30


def binary_folder():
    return pathlib.Path(os.environ.get("MLOS_BIN") or ROOT / "build" / "release" / "bin")


def program(name):
    path = binary_folder() / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run ./dev build, or set MLOS_BIN")
    return str(path)


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"HTTP {self.status}: {self.body[:2000]!r}"


class Server:
    """A running program that answers HTTP; base class of Core and Mirror."""

    def __init__(self, command, environment, folder):
        self.name = pathlib.Path(command[0]).name
        self.port_file = folder / f"{self.name}.port"
        self.log = folder / f"{self.name}.log"
        self.port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, "--port", "0", "--port-file", str(self.port_file)],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _wait_for_port(self):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode} at its start:\n{self.log_text()}")
            # The file appears complete, by rename, once the port is open.
            if self.port_file.exists():
                return int(self.port_file.read_text())
            time.sleep(0.01)
        self.kill()
        raise TimeoutError(f"{self.name} opened no port within {START_LIMIT_S} s:\n{self.log_text()}")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request on a connection of its own. A dict or list becomes JSON; bytes and str go as they are."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def events(self, path, body, timeout=60):
        """Yields the data of each server-sent event until the stream ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {response.read()!r}")
            for line in response:
                if line.startswith(b"data:"):
                    yield line[5:].strip().decode()
        finally:
            connection.close()

    def stop(self, limit_s=30):
        """SIGTERM, then the exit status; a server that does not end is killed and reported."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TimeoutError(f"{self.name} did not end within {limit_s} s of SIGTERM:\n{self.log_text()}") from None
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Core(Server):
    def infer(self, model, body, **options):
        return self.post(f"/models/{urllib.parse.quote(model, safe='')}/inference", body, **options)


class Mirror(Server):
    pass


class Home:
    """One user's world: MLOS_HOME and HF_HOME in a folder of the test's, and the programs started in it."""

    def __init__(self, folder, environment=None):
        self.folder = pathlib.Path(folder)
        self.path = self.folder / "mlos"
        self.path.mkdir(parents=True, exist_ok=True)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "MLOS_", "XDG_"))}
        self.environment = {**keep, "MLOS_HOME": str(self.path), "HF_HOME": str(self.folder / "hf"),
                            "HOME": str(self.folder), "NO_COLOR": "1", **(environment or {})}
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def axon(self, *arguments, check=True, timeout=120, environment=None, cwd=None):
        """Runs axon to its end; CompletedProcess with text stdout and stderr. `check` raises with both on failure."""
        done = subprocess.run([program("axon"), *map(str, arguments)], env={**self.environment, **(environment or {})},
                              cwd=cwd or self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"axon {' '.join(map(str, arguments))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def axon_json(self, *arguments, **options):
        return json.loads(self.axon(*arguments, "--json", **options).stdout)

    def start_core(self, *arguments, environment=None):
        """mlos-core on a free port; afterwards axon of this home talks to it (MLOS_CORE_ENDPOINT)."""
        core = Core([program("mlos-core"), *map(str, arguments)], {**self.environment, **(environment or {})}, self.folder)
        self.servers.append(core)
        self.environment["MLOS_CORE_ENDPOINT"] = core.url
        return core

    def start_mirror(self, folder, *arguments):
        """`axon mirror FOLDER` on a free port; afterwards this home downloads from it (HF_ENDPOINT)."""
        mirror = Mirror([program("axon"), "mirror", str(folder), *map(str, arguments)], self.environment, self.folder)
        self.servers.append(mirror)
        self.environment["HF_ENDPOINT"] = mirror.url
        return mirror

    def close(self):
        """Stops what still runs. A server that has to be killed is an error, after all others have ended."""
        stuck = []
        for server in reversed(self.servers):
            try:
                server.stop()
            except TimeoutError as error:
                stuck.append(str(error))
        self.servers.clear()
        if stuck:
            raise TimeoutError("\n".join(stuck))
