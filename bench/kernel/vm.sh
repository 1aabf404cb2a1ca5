#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the modules and the programs of bench/kernel for Debian's 6.1, boots them on emulated CPUs, prints what the programs print.
# Usage: vm.sh ROUNDS REQUESTS CPUS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
CACHE=${MLOS_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mlos}
source kernel/lab/lab.sh
out=$LAB_OUT/bench
root=$out/root

lab_kernel 6.1
lab_build_module 6.1
rm -rf "$root" && mkdir -p "$root"/{bin,proc,sys,dev} "$out/null"
cp bench/kernel/null/* "$out/null/"
lab_make 6.1 M="$out/null" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$out/null.log" 2>&1 || lab_die "the null module does not build: $out/null.log"
for source in bench/kernel/guest/*.c; do
  gcc -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O2 -static -pthread -isystem kernel/include/uapi "$source" \
    -o "$root/bin/$(basename "$source" .c)"
done
cp "$(command -v busybox)" "$root/bin/busybox"
cp bench/kernel/guest/init "$root/init"
cp "$LAB_OUT/6.1/drivers/misc/mlos/mlos_ml.ko" "$out/null/mlos_null.ko" "$root/"
echo "ROUNDS=$1 REQUESTS=$2 CPUS=$3" >"$root/settings"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$out/initrd"
# One CPU: its clock counts instructions, so that what other processes of this machine do does not show, and a run can be repeated to
# the digit. Two: both run at once, in this machine's time. With the time stamp counter for a clock the time is told without a system
# call, as on real machines.
case $3 in
  1) clock=(-accel "tcg,thread=single" -icount "shift=0,sleep=off") ;;
  2) clock=(-accel "tcg,thread=multi") ;;
  *) lab_die "vm.sh: 1 or 2 CPUs, not '$3'" ;;
esac
rc=0
timeout 900 qemu-system-x86_64 -M q35 "${clock[@]}" -cpu max -smp "$3" -m 512 -display none -nodefaults -no-reboot \
  -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04 -kernel "$KERNELS/6.1/vmlinux" -initrd "$out/initrd" \
  -append "console=ttyS0 panic=-1 oops=panic quiet tsc=reliable" </dev/null || rc=$?
[ "$rc" = 33 ] || lab_die "the virtual machine ended with $rc"
