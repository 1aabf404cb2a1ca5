# SPDX-License-Identifier: Apache-2.0
"""The real huggingface_hub client against `axon mirror`."""
import filecmp
import json
import pathlib
import subprocess
import sys

import pytest

import mlos

huggingface_hub = pytest.importorskip("huggingface_hub")


def client(home, code, *arguments, **environment):
    """Runs `code` in a process of its own, because the client reads its environment when it is imported."""
    variables = {**home.environment, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=variables, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


DOWNLOAD = """
import json, sys
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download(sys.argv[1], revision=sys.argv[2] if len(sys.argv) > 2 else None)))
"""


def same_files(a, b):
    names = sorted(p.relative_to(a).as_posix() for p in pathlib.Path(a).rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(b).as_posix() for p in pathlib.Path(b).rglob("*") if p.is_file())
    for name in names:
        assert filecmp.cmp(pathlib.Path(a) / name, pathlib.Path(b) / name, shallow=False), name


@pytest.mark.parametrize("repository,folder", [("bert-base-uncased", "tiny-bert"), ("mlos-test/tiny-sbert", "tiny-sbert")])
def test_snapshot_download_brings_every_file(home, mirror, models, repository, folder):
    same_files(client(home, DOWNLOAD, repository), models / folder)


def test_model_info_has_commit_sizes_and_digests(home, mirror, models):
    info = client(home, """
import json
from huggingface_hub import HfApi
info = HfApi().model_info("mlos-test/digits", files_metadata=True)
print(json.dumps({"sha": info.sha, "files": {s.rfilename: [s.size, s.lfs.sha256 if s.lfs else None] for s in info.siblings}}))
""")
    assert len(info["sha"]) == 40
    assert info["files"]["config.json"] == [(models / "digits/config.json").stat().st_size, None]
    size, sha256 = info["files"]["model.onnx"]
    assert size == (models / "digits/model.onnx").stat().st_size
    import hashlib
    assert sha256 == hashlib.sha256((models / "digits/model.onnx").read_bytes()).hexdigest()


def test_commit_pins_and_missing_things_raise_the_clients_own_errors(home, mirror):
    errors = client(home, """
import json
from huggingface_hub import HfApi, hf_hub_download
sha = HfApi().model_info("mlos-test/digits").sha
hf_hub_download("mlos-test/digits", "config.json", revision=sha)
out = {}
for name, call in {
    "repo": lambda: hf_hub_download("mlos-test/none", "config.json"),
    "revision": lambda: hf_hub_download("mlos-test/digits", "config.json", revision="v9"),
    "file": lambda: hf_hub_download("mlos-test/digits", "none.json"),
    "exists": lambda: (_ for _ in ()).throw(ValueError(HfApi().file_exists("mlos-test/digits", "model.onnx"))),
}.items():
    try:
        call()
    except Exception as error:
        out[name] = type(error).__name__ + (":" + str(error) if name == "exists" else "")
print(json.dumps(out))
""")
    assert errors["repo"] in ("RepositoryNotFoundError", "RemoteEntryNotFoundError")
    assert errors["revision"] == "RevisionNotFoundError"
    assert errors["file"] in ("EntryNotFoundError", "RemoteEntryNotFoundError")
    assert errors["exists"] == "ValueError:True"


def test_the_clients_cache_is_read_before_anything_is_downloaded(home, mirror):
    client(home, DOWNLOAD, "bert-base-uncased")
    result = home.axon_json("install", "hf/bert-base-uncased")
    assert result["downloaded_bytes"] == 0
    assert result["copied_bytes"] > 0
    home.axon("uninstall", "hf/bert-base-uncased")
    mirror.stop()
    offline = home.axon_json("install", "hf/bert-base-uncased", environment={"HF_HUB_OFFLINE": "1"})
    assert offline["copied_bytes"] == result["copied_bytes"]
    assert offline["commit"] == result["commit"]
    home.axon("verify", "hf/bert-base-uncased")


def test_a_poisoned_cache_is_not_believed(home, mirror):
    snapshot = pathlib.Path(client(home, DOWNLOAD, "bert-base-uncased"))
    blob = (snapshot / "model.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    result = home.axon_json("install", "hf/bert-base-uncased")
    assert result["downloaded_bytes"] == len(data)
    home.axon("verify", "hf/bert-base-uncased")
    home.axon("uninstall", "hf/bert-base-uncased")
    done = home.axon("install", "hf/bert-base-uncased", check=False, environment={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 1
    assert "digest" in done.stderr


def test_token_is_wanted_and_taken(home, models, tmp_path):
    import shutil
    shutil.copytree(models / "digits", tmp_path / "hub/org/digits")
    home.environment["AXON_MIRROR_TOKEN"] = "s3cret"
    home.start_mirror(tmp_path / "hub")
    done = home.axon("install", "hf/org/digits", check=False)
    assert done.returncode == 1
    assert "HF_TOKEN" in done.stderr
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf/token").write_text("wrong\n")
    done = home.axon("install", "hf/org/digits", check=False)
    assert "not accepted" in done.stderr
    home.axon("install", "hf/org/digits", environment={"HF_TOKEN": "s3cret"})


def test_a_stopped_mirror_ends_with_zero(home, models):
    server = home.start_mirror(models)
    assert server.stop() == 0


def test_a_taken_port_and_a_missing_folder_are_errors(home, mirror, models):
    done = home.axon("mirror", models, "--port", mirror.port, check=False)
    assert done.returncode == 1
    assert str(mirror.port) in done.stderr
    assert home.axon("mirror", models / "none", check=False).returncode == 2


def test_harness_finds_axon():
    assert mlos.program("axon")
