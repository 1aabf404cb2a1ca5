# SPDX-License-Identifier: GPL-2.0
# Functions of the kernel lab, sourced: a root folder of Debian 13 in the cache, and kernels of the 7 series, whose build tools need the
# newer C library and compiler that it has. Needs mmdebstrap and root.

DEBIAN=$KERNELS/7.x/debian

lab_fetch_debian() {
  local tmp=$KERNELS/tmp.$$ mirror
  [ -e "$DEBIAN" ] && return
  command -v mmdebstrap >/dev/null || lab_die "kernel 7.x needs mmdebstrap: apt-get install mmdebstrap"
  [ "$(id -u)" = 0 ] || lab_die "kernel 7.x needs root: its build tools run in a root folder of their own"
  # Where this machine gets Debian itself from has the next release too.
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null | awk '$2 == "Debian" { print $1; exit }')
  [ -n "$mirror" ] || lab_die "kernel 7.x: apt knows no archive of Debian; run apt-get update"
  rm -rf "$tmp" "$KERNELS/7.x"
  mkdir -p "$tmp"
  echo "  ..  Debian 13 with the headers of kernel 7.x (minutes on the first run)"
  # apt checks signatures and digests, with the keys of Debian that this machine has.
  mmdebstrap --quiet --mode=root --variant=apt --include=make,gcc,libc6-dev,linux-headers-amd64/trixie-backports \
    trixie "$tmp/debian" "deb $mirror trixie main" "deb $mirror trixie-backports main" >"$tmp/log" 2>&1 ||
    lab_die "Debian 13 cannot be unpacked: $tmp/log"
  mv "$tmp" "$KERNELS/7.x"
}

# in_debian COMMAND...: in that root, with /proc, which objtool and dkms want.
in_debian() {
  unshare --mount sh -c 'root=$1; shift; mount -t proc proc "$root/proc" && exec chroot "$root" "$@"' sh "$DEBIAN" "$@"
}

# apt-get there. mmdebstrap leaves no lists of packages behind.
lab_debian_apt() {
  in_debian env DEBIAN_FRONTEND=noninteractive sh -c '
    ls /var/lib/apt/lists/*_Packages >/dev/null 2>&1 || apt-get -q update && cd /tmp/deb && apt-get -q -y "$@"' sh "$@" >"$KERNELS/7.x/log" 2>&1 </dev/null
}

# lab_debian_install PACKAGE...: unless they are there.
lab_debian_install() {
  in_debian dpkg-query -W "$@" >/dev/null 2>&1 && return
  mkdir -p "$DEBIAN/tmp/deb"
  lab_debian_apt --no-install-recommends install "$@" ||
    lab_die "Debian 13 cannot install $*: $KERNELS/7.x/log"
}

# Of the kernel whose headers are there.
lab_debian_version() { ls "$DEBIAN/lib/modules"; }

# lab_debian_unpack PACKAGE FOLDER: what PACKAGE-VERSION has, unpacked.
lab_debian_unpack() {
  local package to=$2
  package=$1-$(lab_debian_version)
  rm -rf "$DEBIAN/tmp/deb"
  mkdir -p "$DEBIAN/tmp/deb" "$to"
  lab_debian_apt download "$package" ||
    lab_die "$package cannot be downloaded: $KERNELS/7.x/log. When the archive has a newer one only, remove $KERNELS/7.x"
  dpkg-deb -x "$DEBIAN"/tmp/deb/*.deb "$to"
  rm -rf "$DEBIAN/tmp/deb"
}

lab_fetch_backports() {
  local dir=$KERNELS/7.x tmp=$KERNELS/7.x/tmp.$$
  lab_fetch_debian
  if [ ! -e "$dir/vmlinux" ]; then
    lab_debian_unpack linux-binary "$tmp"
    python3 kernel/lab/vmlinux.py "$tmp"/usr/lib/modules/*/vmlinuz "$dir/vmlinux" || lab_die "kernel 7.x has no vmlinux"
  fi
  if [ ! -e "$dir/modules" ]; then
    lab_debian_unpack linux-modules "$tmp"
    lab_pick_modules "$tmp" "$dir/modules"
  fi
  rm -rf "$tmp"
}

# make ARG...: make of the headers, for the module's sources that were copied to that root's /module.
lab_make_backports() { in_debian sh -c 'exec make -C /lib/modules/*/build "$@"' make "$@"; }
