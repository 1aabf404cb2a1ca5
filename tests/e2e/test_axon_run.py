# SPDX-License-Identifier: Apache-2.0
"""axon register, run, unregister and serve, with a real mlos-core."""
import json
import subprocess

import mlos
import pytest


def test_register_says_where_and_how_to_ask(home, core, mirror):
    home.axon("install", "hf/mlos-test/digits")
    done = home.axon("register", "hf/mlos-test/digits")
    assert "plugin onnxruntime" in done.stdout
    line = next(line.strip() for line in done.stdout.splitlines() if line.strip().startswith("curl "))
    answer = subprocess.run(["bash", "-c", line.replace("curl ", "curl -sS ")], capture_output=True, text=True, timeout=30)
    assert json.loads(answer.stdout)["status"] == "success", answer.stdout + answer.stderr
    assert home.axon_json("register", "hf/mlos-test/digits")["model_id"] == "hf/mlos-test/digits@latest"


def test_run_registers_when_needed_and_streams_text(home, core, mirror):
    home.axon("install", "hf/mlos-test/addition")
    done = home.axon("run", "hf/mlos-test/addition", "23+45=", "--temperature", "0", "--max-tokens", "4")
    assert done.stdout.strip() == "68"
    assert "registering" in done.stderr
    again = home.axon_json("run", "hf/mlos-test/addition", "12+30=", "--temperature", "0", "--max-tokens", "4")
    assert again["text"].strip() == "42"
    assert again["tokens_generated"] > 0 and again["prompt_tokens"] > 0


def test_run_takes_a_sentence_a_json_object_and_standard_input(home, core, mirror):
    home.axon("install", "hf/mlos-test/tiny-sbert")
    done = home.axon("run", "hf/mlos-test/tiny-sbert", "the cat")
    assert done.stdout.startswith("sentence_embedding  FP32 [1,")
    whole = home.axon_json("run", "hf/mlos-test/tiny-sbert", '{"inputs": ["the cat", "the dog"]}')
    assert whole["outputs"]["sentence_embedding"]["shape"][0] == 2
    piped = subprocess.run([mlos.program("axon"), "run", "hf/mlos-test/tiny-sbert", "-"], input="the cat\n", text=True,
                           capture_output=True, env=home.environment, timeout=60)
    assert piped.stdout == done.stdout, piped.stderr


def test_errors_of_the_core_come_through(home, core, mirror):
    home.axon("install", "hf/mlos-test/digits")
    done = home.axon("run", "hf/mlos-test/digits", '{"nope": [1]}', check=False)
    assert done.returncode == 1
    assert "nope" in done.stderr and "image" in done.stderr
    assert "takes tensors" in home.axon("run", "hf/mlos-test/digits", "five", check=False).stderr
    missing = home.axon("run", "hf/mlos-test/none", "x", check=False)
    assert missing.returncode == 1
    assert "axon install hf/mlos-test/none" in missing.stderr


def test_unregister_forgets_and_keeps_the_package(home, core, mirror):
    home.axon("install", "hf/mlos-test/digits")
    home.axon("register", "hf/mlos-test/digits")
    home.axon("unregister", "hf/mlos-test/digits")
    assert core.get("/models").json["models"] == []
    assert len(home.axon_json("list")) == 1
    again = home.axon("unregister", "hf/mlos-test/digits", check=False)
    assert again.returncode == 1 and "digits" in again.stderr


def test_serve_becomes_the_core_with_its_flags(home, tmp_path):
    class Served(mlos.Server):
        pass

    server = Served([mlos.program("axon"), "serve"], home.environment, tmp_path)
    try:
        assert server.get("/health").json["service"] == "mlos-core"
    finally:
        assert server.stop() == 0
    assert "--port" in home.axon("serve", "--help").stdout


@pytest.mark.parametrize("shell", ["bash"])
def test_completion_works_in_a_real_shell(home, models, shell):
    home.axon("install", models / "digits", "--as", "local/digits")
    script = """
source <(axon completion bash)
complete_line() {
  COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}
  read -r -a COMP_WORDS <<< "${COMP_LINE//@/ @ }"; [[ "$COMP_LINE" == *' ' ]] && COMP_WORDS+=("")
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMPREPLY=()
  _axon; echo "${COMPREPLY[*]}"
}
complete_line "axon unin"
complete_line "axon install --for"
complete_line "axon register "
complete_line "axon register local/digits@l"
"""
    environment = {**home.environment, "PATH": f"{mlos.binary_folder()}:/usr/bin:/bin"}
    done = subprocess.run([shell, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["uninstall", "--force --format", "local/digits@latest", "latest"], done.stderr
