#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Python environment of the tests, fixtures and the demo's data: build/venv, from tests/requirements.lock (every package
# pinned with its hashes). Packages are kept in the cache, so that making it anew uses no network.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LOCK=$MLOS_ROOT/tests/requirements.lock
VENV=$MLOS_ROOT/build/venv
WHEELS=$DEPS/wheels

prefix() { echo "$VENV"; }
lock_hash() { sha256sum "$LOCK" | cut -c1-16; }
ready() { [ ! -f "$LOCK" ] || [ "$(cat "$VENV/.complete" 2>/dev/null)" = "$(lock_hash)" ]; }

make_step() {
  local hash stamp
  hash=$(lock_hash)
  "$PYTHON" -m venv --clear "$VENV" || fail "$PYTHON cannot create virtual environments; on Debian: apt-get install python3-venv"
  stamp=$WHEELS/.complete-$hash-$("$VENV/bin/python" -c 'import sys; print(sys.implementation.cache_tag)')
  if [ ! -f "$stamp" ]; then
    tools_pip download --only-binary=:all: --require-hashes --dest "$WHEELS" --requirement "$LOCK"
    touch "$stamp"
  fi
  PIP_DISABLE_PIP_VERSION_CHECK=1 "$VENV/bin/python" -m pip --no-cache-dir install --no-index --find-links "$WHEELS" \
    --require-hashes --requirement "$LOCK"
  echo "$hash" >"$VENV/.complete"
}

run_verb "$@"
