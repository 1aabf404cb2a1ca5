#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Python environments of the fall-back (packaging/converter), for its tests: where `axon convert --fallback python` looks for them, marked
# as it marks them. Every package pinned with its hashes.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CONVERTER=$MLOS_ROOT/packaging/converter
ENVIRONMENTS=$MLOS_CACHE/converter
NAMES=(tensorflow transformers)

prefix() { echo "$ENVIRONMENTS"; }
lock_hash() { sha256sum "$CONVERTER/$1.lock" | cut -d' ' -f1; }
has() { [ "$(cat "$ENVIRONMENTS/$1/.complete" 2>/dev/null)" = "$(lock_hash "$1")" ]; }
ready() { has tensorflow && has transformers; }

make_step() {
  local name venv
  for name in "${NAMES[@]}"; do
    if has "$name"; then continue; fi
    venv=$ENVIRONMENTS/$name
    "$PYTHON" -m venv --clear "$venv" || fail "$PYTHON cannot create virtual environments; on Debian: apt-get install python3-venv"
    # Compiled when first imported: most of it never is.
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip --no-cache-dir --retries 8 --timeout 60 install --quiet --no-deps --no-compile \
      --require-hashes --requirement "$CONVERTER/$name.lock"
    printf '%s' "$(lock_hash "$name")" >"$venv/.complete"
  done
}

run_verb "$@"
