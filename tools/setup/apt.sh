#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages: installs the missing ones of a list (tools/setup/apt.txt, or the file in MLOS_APT_LIST).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LIST=${MLOS_APT_LIST:-$MLOS_ROOT/tools/setup/apt.txt}

wanted() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LIST"; }

missing() {
  command -v dpkg-query >/dev/null || return 0
  # shellcheck disable=SC2046
  comm -23 <(wanted | sort -u) <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $(wanted) 2>/dev/null | sed -n 's/^ii //p' | sort -u)
}

prefix() { echo /usr; }
ready() { [ -z "$(missing)" ]; }

make_step() {
  local packages root=()
  mapfile -t packages < <(missing)
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { : </dev/tty; } 2>/dev/null; } ||
      fail "these packages are missing and need root to install: sudo apt-get install ${packages[*]}"
    root=(sudo)
  fi
  local options=(-y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 --no-install-recommends)
  # The lists of a fresh machine may be empty or old: refresh when the first try does not find everything.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "${packages[@]}" || {
    "${root[@]}" apt-get -o Acquire::Retries=5 update
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "${packages[@]}"
  }
}

run_verb "$@"
