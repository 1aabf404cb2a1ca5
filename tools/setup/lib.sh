# SPDX-License-Identifier: Apache-2.0
# Shared by the set-up steps (tools/setup/*.sh). Every step is a program with three verbs:
#   ready    exit 0 when there is nothing to do; fast, changes nothing, uses no network
#   make     do it; safe to interrupt and to run again
#   prefix   print the folder that holds the result (the CMake find modules read it)
# A step builds in a scratch folder and renames it into place, so what exists is complete.
set -euo pipefail

MLOS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
MLOS_CACHE=${MLOS_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mlos}
DEPS=$MLOS_CACHE/deps
PYTHON=${PYTHON:-python3}

fail() {
  echo "error: $*" >&2
  exit 1
}

jobs_count() { echo "${MLOS_JOBS:-$(nproc)}"; }

# A folder on the same file system as the cache, removed when the step ends.
scratch_dir() {
  mkdir -p "$DEPS/tmp"
  mktemp -d "$DEPS/tmp/$1.XXXXXX"
}

# move_into_place SCRATCH TARGET: the target appears whole or not at all.
move_into_place() {
  rm -rf "$2"
  chmod u+rwX,go+rX "$1"
  mv -T "$1" "$2"
}

has_sha256() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

# The pip that fetches packages: in an environment of its own, so that neither the system nor a user's environment changes.
tools_pip() {
  local venv=$DEPS/pip
  mkdir -p "$DEPS"
  (
    flock 9
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
      rm -rf "$venv"
      "$PYTHON" -m venv "$venv" || fail "$PYTHON cannot create virtual environments; on Debian: apt-get install python3-venv"
    fi
  ) 9>"$DEPS/.lock-pip"
  # Files are kept by their hash (fetch_package) or by name (wheels); pip's own cache would hold them twice.
  PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip --no-cache-dir --retries 8 --timeout 60 "$@"
}

# fetch_package NAME==VERSION SHA256 FILE [pip download options]: one pinned file of the Python package index, from
# wherever pip is configured to look, verified, kept in $DEPS/downloads.
fetch_package() {
  local requirement=$1 sha=$2 file=$3
  shift 3
  if has_sha256 "$DEPS/downloads/$file" "$sha"; then return; fi
  local tmp
  tmp=$(scratch_dir download)
  printf '%s --hash=sha256:%s\n' "$requirement" "$sha" >"$tmp/requirements.txt"
  tools_pip download --no-deps --require-hashes --dest "$tmp" --requirement "$tmp/requirements.txt" "$@"
  has_sha256 "$tmp/$file" "$sha" || fail "$requirement: pip did not bring $file with sha256 $sha (got: $(ls "$tmp"))"
  mkdir -p "$DEPS/downloads"
  mv "$tmp/$file" "$DEPS/downloads/$file"
  rm -rf "$tmp"
}

# Runs the verb given on the command line; `make` holds a lock, so two set-ups do not meet.
run_verb() {
  local name
  name=$(basename "$0" .sh)
  case ${1:-} in
    ready) ready ;;
    prefix) prefix ;;
    make)
      mkdir -p "$DEPS"
      exec 8>"$DEPS/.lock-$name"
      flock -n 8 || { echo "waiting for another set-up to finish $name"; flock 8; }
      if ready; then return; fi
      make_step
      ready || fail "$name was set up but is not usable"
      ;;
    *) fail "usage: $0 ready|make|prefix" ;;
  esac
}
