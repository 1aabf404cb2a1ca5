# SPDX-License-Identifier: GPL-2.0
# Functions of the kernel lab, sourced: kernels of the 7 series. Their build tools need a newer C library and compiler than Debian 12 has,
# so the module is built inside a small root of Debian 13, unpacked into the cache by mmdebstrap. Needs root.

lab_fetch_backports() {
  local dir=$KERNELS/7.x tmp=$KERNELS/tmp.$$ mirror
  [ -e "$dir/unpacked" ] && return
  command -v mmdebstrap >/dev/null || lab_die "kernel 7.x needs mmdebstrap: apt-get install mmdebstrap"
  [ "$(id -u)" = 0 ] || lab_die "kernel 7.x needs root: its build tools run in a root folder of their own"
  # Where this machine gets Debian itself from has the next release too.
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null | awk '$2 == "Debian" { print $1; exit }')
  [ -n "$mirror" ] || lab_die "kernel 7.x: apt knows no archive of Debian; run apt-get update"
  rm -rf "$tmp" "$dir"
  mkdir -p "$tmp"
  echo "  ..  Debian 13 with the headers of kernel 7.x (minutes on the first run)"
  # apt checks signatures and digests, with the keys of Debian that this machine has.
  mmdebstrap --quiet --mode=root --variant=apt --include=make,gcc,libc6-dev,linux-headers-amd64/trixie-backports \
    --customize-hook='cd "$1" && chroot "$1" apt-get -q update && chroot "$1" sh -c "cd /tmp && apt-get -q download linux-binary-\$(ls /lib/modules)"' \
    trixie "$tmp/root" "deb $mirror trixie main" "deb $mirror trixie-backports main" >"$tmp/log" 2>&1 ||
    lab_die "Debian 13 cannot be unpacked: $tmp/log"
  dpkg-deb --fsys-tarfile "$tmp"/root/tmp/linux-binary-*.deb | tar -x -O --wildcards './usr/lib/modules/*/vmlinuz' >"$tmp/vmlinuz"
  rm "$tmp"/root/tmp/*.deb
  python3 kernel/lab/vmlinux.py "$tmp/vmlinuz" "$tmp/vmlinux" || lab_die "kernel 7.x has no vmlinux"
  touch "$tmp/unpacked"
  mv "$tmp" "$dir"
}

# make ARG...: make of the headers, in that root, for the module's sources that were copied to its /module. objtool wants /proc.
lab_make_backports() {
  local root=$KERNELS/7.x/root
  unshare --mount sh -c 'root=$1; shift; mount -t proc proc "$root/proc" && exec chroot "$root" "$@"' sh "$root" \
    sh -c 'exec make -C /lib/modules/*/build "$@"' make "$@"
}
