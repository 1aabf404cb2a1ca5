#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang 19 tools for ./dev lint, fmt and fuzz. Not part of set-up.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MLOS_APT_LIST=$MLOS_ROOT/tools/setup/apt-clang.txt exec "$MLOS_ROOT/tools/setup/apt.sh" "$@"
