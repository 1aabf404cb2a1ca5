#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the tests of the kernel module need: the emulator, a few tools, and Debian's 6.1 kernel unpacked into the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
CACHE=${MLOS_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mlos}
source kernel/lab/lab.sh
case ${1:-} in
  ready)
    command -v qemu-system-x86_64 busybox cpio zstd bc flex bison >/dev/null && [ -e "$KERNELS/6.1/unpacked" ]
    ;;
  make) lab_fetch 6.1 ;;
  *)
    echo "usage: kernel_lab.sh ready|make" >&2
    exit 2
    ;;
esac
