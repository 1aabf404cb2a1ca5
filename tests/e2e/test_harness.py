# SPDX-License-Identifier: Apache-2.0
"""tests/tools does what the end-to-end tests rely on, shown with a stand-in for mlos-core."""
import sys

import pytest

import mlos
import vectors

STAND_IN = """#!{python}
import http.server, json, os, sys
mode = os.environ.get("STAND_IN", "serve")
if mode == "refuse":
    sys.exit("error: port in use")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        events = self.path.endswith("events")
        answer = b"data: one\\n\\ndata: two\\n\\n" if events else json.dumps(
            {{"path": self.path, "body": json.loads(body), "home": os.environ["MLOS_HOME"],
              "hub": os.environ.get("HF_TOKEN")}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
name = sys.argv[sys.argv.index("--port-file") + 1]
with open(name + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(name + ".new", name)
server.serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mlos-core"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("MLOS_BIN", str(folder))
    monkeypatch.setenv("HF_TOKEN", "the developer's own")
    return folder


def test_core_answers_in_its_own_home_and_ends_on_sigterm(stand_in, home):
    core = home.start_core()
    answer = core.infer("hf/bert@1", {"inputs": "hello"})
    assert answer.status == 200
    assert answer.json == {"path": "/models/hf%2Fbert%401/inference", "body": {"inputs": "hello"}, "home": str(home.path), "hub": None}
    assert core.stop() == -15
    assert home.environment["MLOS_CORE_ENDPOINT"] == core.url


def test_events_yields_the_data_lines(stand_in, home):
    assert list(home.start_core().events("/events", {})) == ["one", "two"]


def test_a_failed_start_says_what_the_program_said(stand_in, home):
    with pytest.raises(RuntimeError, match="port in use"):
        home.start_core(environment={"STAND_IN": "refuse"})


def test_a_missing_program_says_how_to_get_it(stand_in, home):
    with pytest.raises(FileNotFoundError, match="./dev build"):
        home.axon("list")


def test_vectors_tell_close_from_far():
    vectors.assert_close([[1.0, 2.0]], [[1.000001, 2.0]])
    with pytest.raises(AssertionError, match="differs by 0.001"):
        vectors.assert_close([1.0, 2.0], [1.001, 2.0])
    with pytest.raises(ValueError, match="shapes differ"):
        vectors.assert_close([1.0, 2.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="not finite"):
        vectors.assert_close([1.0], [float("nan")])
    assert vectors.cosine([1, 0], [1, 0]) == 1.0
