#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mlosctl where there is no device, or another one: says what is missing and what to do, and writes nothing else.
# Usage: without_module_test.sh MLOSCTL. What it prints about a module that is there is tested in the virtual machine.
set -euo pipefail
mlosctl=$1

# expect STATUS TEXT ARGUMENT...
expect() {
  local wanted=$1 text=$2 rc=0 out err
  shift 2
  err=$(mktemp)
  out=$("$mlosctl" "$@" 2>"$err") || rc=$?
  if [ "$rc" != "$wanted" ] || [ -n "$out" ] || ! grep -qF -- "$text" "$err"; then
    echo "mlosctl $*: exit status $rc, wanted $wanted and '$text'; output: $out" >&2
    cat "$err" >&2
    exit 1
  fi
  rm "$err"
}

expect 1 'modprobe mlos_ml' --device /dev/mlos-not-there models
expect 1 'modprobe mlos_ml' --json --device /dev/mlos-not-there stats
expect 1 'another device' --device /dev/null --json stats
expect 1 'another device' --device /dev/null tensors
expect 2 "unknown verb 'tensor'" tensor
expect 2 'usage: mlosctl trim BYTES' trim
expect 2 "'10q' is not a number of bytes" trim 10q
expect 2 '--help' --jsom stats
"$mlosctl" --help | grep -q '^  queue '
