# SPDX-License-Identifier: Apache-2.0
"""axon install against a hub that is slow, goes away, lies; killed, run twice at once, on a full disk."""
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import mlos


def big_repository(hub, name="org/big", weights=24_000_000):
    """A GGUF-named repository cannot be executed; this is an ONNX model whose external data is big: digits beside ballast."""
    folder = hub / name
    folder.mkdir(parents=True)
    folder.joinpath("model.onnx").write_bytes((mlos.MODELS / "digits/model.onnx").read_bytes())
    # Taken along because its name begins with the model's.
    folder.joinpath("model.onnx.data").write_bytes(os.urandom(weights))
    return folder


def start_axon(home, *arguments):
    return subprocess.Popen([mlos.program("axon"), *arguments], env=home.environment, cwd=home.folder,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def partial_bytes(home):
    """Bytes counted as downloaded in the state files of the store."""
    total = 0
    for state in home.path.glob("store/incoming/*/*.state"):
        data = state.read_bytes()
        if len(data) < 27:
            continue
        size = int.from_bytes(data[9:17], "little")
        piece = int.from_bytes(data[17:25], "little")
        etag = int.from_bytes(data[25:27], "little")
        counts = data[27 + etag:]
        total += sum(int.from_bytes(counts[i:i + 8], "little") for i in range(0, len(counts), 8))
        assert piece > 0 and total <= size
    return total


def wait_for_bytes(home, process, wanted):
    deadline = time.monotonic() + 60
    while partial_bytes(home) < wanted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the download does not get on"
        time.sleep(0.02)


def names(home):
    return [model["ref"] for model in home.axon_json("list")]


def test_quick_start_of_the_original(home, mirror):
    done = home.axon("install", "hf/bert-base-uncased@latest")
    assert "installed hf/bert-base-uncased@latest" in done.stdout
    info = home.axon_json("info", "hf/bert-base-uncased@latest")
    assert [i["name"] for i in info["inputs"]][0] == "input_ids"
    assert info["text"]["tokenizer"] == "tokenizer.json"
    assert info["conversion"]["architecture"] == "bert"
    assert names(home) == ["hf/bert-base-uncased@latest"]


def test_gguf_and_onnx_are_taken_as_they_are(home, mirror):
    assert home.axon_json("install", "hf/mlos-test/addition")["format"] == "gguf"
    assert home.axon_json("install", "hf/mlos-test/digits")["format"] == "onnx"
    info = home.axon_json("info", "hf/mlos-test/addition")
    assert any(file["path"].endswith(".gguf") for file in info["files"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_install_that_is_ended_goes_on_where_it_was(home, tmp_path, how):
    big_repository(tmp_path / "hub")
    home.start_mirror(tmp_path / "hub", "--throttle", "6000000")
    first = start_axon(home, "install", "hf/org/big")
    wait_for_bytes(home, first, 5_000_000)
    first.send_signal(how)
    _, errors = first.communicate(timeout=30)
    assert first.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), errors
    assert names(home) == []
    had = partial_bytes(home)
    assert had >= 5_000_000
    home.start_mirror(tmp_path / "hub")
    again = home.axon_json("install", "hf/org/big")
    assert again["resumed_bytes"] == had
    assert again["downloaded_bytes"] <= 24_100_000 - had
    assert home.axon_json("verify", "hf/org/big")[0]["intact"]
    assert not list(home.path.glob("store/incoming/*/*"))


def test_a_hub_that_goes_away_in_the_middle_is_waited_for(home, tmp_path):
    big_repository(tmp_path / "hub")
    server = home.start_mirror(tmp_path / "hub", "--throttle", "6000000")
    install = start_axon(home, "install", "hf/org/big", "--json")
    wait_for_bytes(home, install, 3_000_000)
    port = server.port
    server.kill()
    back = subprocess.Popen([mlos.program("axon"), "mirror", str(tmp_path / "hub"), "--port", str(port)], env=home.environment,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        out, errors = install.communicate(timeout=60)
    finally:
        back.terminate()
        back.wait(30)
    assert install.returncode == 0, errors
    assert "trying again" in errors
    assert json.loads(out)["downloaded_bytes"] < 24_500_000


def test_two_installs_of_the_same_model_download_it_once(home, tmp_path):
    big_repository(tmp_path / "hub")
    home.start_mirror(tmp_path / "hub", "--throttle", "12000000")
    both = [start_axon(home, "install", "hf/org/big", "--json") for _ in range(2)]
    results = []
    for process in both:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        results.append(json.loads(out))
    assert sorted(r["status"] for r in results) == ["already installed", "installed"]
    assert sum(r["downloaded_bytes"] for r in results) < 24_100_000
    assert names(home) == ["hf/org/big@latest"]


def test_models_that_share_bytes_share_them_on_disk(home, tmp_path):
    folder = big_repository(tmp_path / "hub", "org/one")
    other = tmp_path / "hub/org/two"
    other.mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        other.joinpath(name).write_bytes(folder.joinpath(name).read_bytes())
    home.start_mirror(tmp_path / "hub")
    home.axon("install", "hf/org/one")
    second = home.axon_json("install", "hf/org/two")
    assert second["downloaded_bytes"] == 0
    assert second["stored_bytes"] > 24_000_000
    home.axon("uninstall", "hf/org/one")
    assert home.axon_json("verify", "hf/org/two")[0]["intact"]


def test_uninstall_frees_the_bytes(home, tmp_path):
    big_repository(tmp_path / "hub")
    home.start_mirror(tmp_path / "hub")
    home.axon("install", "hf/org/big")
    assert sum(f.stat().st_size for f in home.path.glob("store/blobs/*")) > 24_000_000
    home.axon("uninstall", "hf/org/big")
    assert not list(home.path.glob("store/blobs/*"))


def test_offline_without_a_cache_says_what_to_do(home):
    done = home.axon("install", "hf/org/big", check=False, environment={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 1
    assert "offline" in done.stderr and "cache" in done.stderr
    assert done.stderr.count("error") == 1


def test_nobody_at_the_endpoint_is_an_error(home):
    done = home.axon("install", "hf/org/big", check=False, environment={"HF_ENDPOINT": "http://127.0.0.1:1"})
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


def test_missing_models_revisions_and_files_are_told_apart(home, mirror):
    for reference, words in {"hf/mlos-test/none": "no repository", "hf/mlos-test/digits@v9": "no revision 'v9'"}.items():
        done = home.axon("install", reference, check=False)
        assert done.returncode == 1
        assert words in done.stderr
    done = home.axon("install", "hf/mlos-test/digits", "--file", "none.onnx", check=False)
    assert "none.onnx" in done.stderr


def test_a_file_that_is_not_what_its_name_says_is_refused(home, tmp_path, broken):
    index = json.loads((broken / "index.json").read_text())
    assert index
    hub = tmp_path / "hub"
    for number, path in enumerate(sorted(p for p in broken.iterdir() if p.suffix in (".onnx", ".gguf"))):
        folder = hub / "org" / f"broken{number}"
        folder.mkdir(parents=True)
        folder.joinpath("model" + path.suffix).write_bytes(path.read_bytes())
    home.start_mirror(hub)
    for folder in sorted((hub / "org").iterdir()):
        done = home.axon("install", f"hf/org/{folder.name}", check=False)
        if done.returncode == 0:  # damage that only the engine can see
            continue
        assert done.returncode == 1, done.stderr
        assert "axon: error: " in done.stderr
    assert all(not ref.endswith("broken") for ref in names(home))


def full_disk(tmp_path, megabytes):
    """A small file system of its own, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    return folder


@pytest.mark.parametrize("megabytes", [32, 100])
def test_a_full_disk_is_an_error_that_loses_nothing(home, tmp_path, megabytes):
    big_repository(tmp_path / "hub")
    small = full_disk(tmp_path, megabytes)
    try:
        if megabytes > 64:  # room at the start that is gone later is not said before
            (small / "ballast").write_bytes(b"x" * 80_000_000)
        home.start_mirror(tmp_path / "hub")
        done = home.axon("install", "hf/org/big", check=False, environment={"MLOS_HOME": str(small / "mlos")})
        assert done.returncode == 1
        assert "room" in done.stderr or "space" in done.stderr
        assert home.axon_json("list", environment={"MLOS_HOME": str(small / "mlos")}) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_plain_lines_without_a_terminal(home, tmp_path):
    big_repository(tmp_path / "hub")
    home.start_mirror(tmp_path / "hub")
    done = home.axon("install", "hf/org/big")
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
    assert "100 %" in done.stderr and "/s" in done.stderr
    assert home.axon("install", "-q", "--force", "hf/org/big").stderr == ""


def test_installed_bytes_are_the_hubs_bytes(home, mirror, models):
    result = home.axon_json("install", "hf/mlos-test/digits")
    for file in home.axon_json("info", "hf/mlos-test/digits")["files"]:
        data = (models / "digits" / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert (pathlib.Path(result["path"]) / file["path"]).read_bytes() == data
