# SPDX-License-Identifier: GPL-2.0
# Functions of the kernel lab; sourced in the root of the repository with CACHE set. A series is 6.1, 6.12 (Debian's kernels, as its
# packages have them), 7.x (of Debian 13's backports) or debug (6.1 from Debian's source package with the kernel's own checks).

KERNELS=$CACHE/kernels
source kernel/lab/debian.sh
LAB_OUT=$PWD/build/kernel

lab_die() {
  echo "error: $*" >&2
  exit 1
}

# Packages of a series: image and headers, by what the meta packages depend on.
lab_packages() {
  local meta image headers
  case $1 in
    6.1) meta=amd64 ;;
    6.12) meta=6.12-amd64 ;;
    *) lab_die "no kernel series '$1'; there are 6.1, 6.12, 7.x and debug" ;;
  esac
  image=$(apt-cache depends "linux-image-$meta" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
  headers=$(apt-cache depends "linux-headers-$meta" 2>/dev/null | awk '/Depends: linux-headers-/ { print $2; exit }')
  [ -n "$image" ] && [ -n "$headers" ] || lab_die "the package archive offers no kernel $1; run apt-get update"
  echo "$image $headers"
  apt-cache depends "$headers" | awk '/Depends: linux-(headers|kbuild)-/ { print $2 }'
}

# lab_pick_modules FROM TO: what the tests need of a kernel's modules, which are far more than all the rest.
lab_pick_modules() {
  rm -rf "$2.$$"
  python3 kernel/lab/pick_modules.py "$1" "$2.$$" overlay ext4 loop 'crc32c_generic?' || lab_die "$1 has not the modules that the tests need"
  mv "$2.$$" "$2"
}

# Downloads (apt checks signature and digests) and unpacks into $KERNELS/SERIES. Nothing is installed.
lab_fetch() {
  local series=$1 dir=$KERNELS/$1 tmp
  [ -e "$dir/unpacked" ] && [ -e "$dir/modules" ] && return
  tmp=$KERNELS/tmp.$$
  rm -rf "$tmp" "$dir"
  mkdir -p "$tmp/deb" "$tmp/tree"
  # shellcheck disable=SC2046
  (cd "$tmp/deb" && apt-get -q download $(lab_packages "$series") >&2) || lab_die "kernel $series cannot be downloaded"
  for deb in "$tmp"/deb/*.deb; do
    case $deb in
      */linux-image-*)
        dpkg-deb -x "$deb" "$tmp/image"
        mv "$tmp/image/boot" "$tmp/tree/boot"
        lab_pick_modules "$tmp/image/lib/modules" "$tmp/modules"
        rm -rf "$tmp/image"
        ;;
      *) dpkg-deb -x "$deb" "$tmp/tree" ;;
    esac
  done
  rm -rf "$tmp/deb"
  # The makefiles of the headers name their installed place.
  sed -i "s#\([ =]\)/usr/src#\1$dir/tree/usr/src#" "$tmp"/tree/usr/src/*/Makefile
  python3 kernel/lab/vmlinux.py "$tmp"/tree/boot/vmlinuz-* "$tmp/vmlinux" || lab_die "kernel $series has no vmlinux"
  touch "$tmp/unpacked"
  mv "$tmp" "$dir"
}

# A kernel with KASAN, lockdep, kmemleak and fault injection: from the source package, tens of minutes, kept in the cache. Each step is
# kept when it is done, and an interrupted build goes on where it was.
lab_build_debug() {
  local dir=$KERNELS/debug stamp
  stamp=$(cat kernel/lab/base.config kernel/lab/debug.config | sha256sum | cut -c1-16)
  [ -e "$dir/ready-$stamp" ] && return
  mkdir -p "$dir"
  [ -d "$dir/src" ] || lab_fetch_source "$dir"
  [ -e "$dir/configured-$stamp" ] || lab_configure "$dir" "$stamp"
  echo "  ..  debug kernel (tens of minutes on the first run; goes on where it was interrupted)"
  nice -n 5 make -C "$dir/src" -s -j "$(nproc)" bzImage modules >"$dir/build.log" 2>&1 || lab_die "the debug kernel does not build: $dir/build.log"
  rm -f "$dir"/ready-*
  touch "$dir/ready-$stamp"
}

lab_fetch_source() {
  local dir=$1 deb
  (cd "$dir" && apt-get -q download linux-source-6.1 >&2) || lab_die "linux-source-6.1 cannot be downloaded"
  deb=$(ls "$dir"/linux-source-6.1_*.deb)
  rm -rf "$dir/linux-source-6.1"
  dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/src/linux-source-6.1.tar.xz | xz -dc | tar -x -C "$dir"
  mv "$dir/linux-source-6.1" "$dir/src"
  rm "$deb"
}

# Some options are dropped in silence when what they depend on is missing.
lab_configure() {
  local dir=$1 stamp=$2 line
  rm -f "$dir"/configured-*
  make -C "$dir/src" -s tinyconfig >/dev/null 2>&1
  (cd "$dir/src" && scripts/kconfig/merge_config.sh -m .config "$OLDPWD/kernel/lab/base.config" "$OLDPWD/kernel/lab/debug.config" >/dev/null 2>&1)
  make -C "$dir/src" -s olddefconfig 2>"$dir/config.log" || lab_die "the debug kernel cannot be configured: $dir/config.log"
  while read -r line; do
    grep -qx -- "$line" "$dir/src/.config" || lab_die "the kernel's configuration dropped $line"
  done < <(grep -h '^CONFIG.*=' kernel/lab/base.config kernel/lab/debug.config)
  touch "$dir/configured-$stamp"
}

# Fetches or builds the kernel of a series.
lab_kernel() {
  case $1 in
    debug) lab_build_debug ;;
    7.x) lab_fetch_backports ;;
    *) lab_fetch "$1" ;;
  esac
}

# lab_make SERIES ARG...: make of the kernel that the module is built for.
lab_make() {
  local series=$1
  shift
  case $series in
    debug) make -C "$KERNELS/debug/src" "$@" ;;
    7.x) lab_make_backports "$@" ;;
    *) make -C "$KERNELS/$series"/tree/usr/src/linux-headers-*-amd64 "$@" ;;
  esac
}

# Only what changed, with a new time: make goes by times, and an old one may lie before an object of other sources.
lab_copy_sources() {
  local to=$1 file
  while read -r file; do
    cmp -s "kernel/$file" "$to/$file" || install -D -m 644 "kernel/$file" "$to/$file"
  done < <(cd kernel && find include drivers -type f)
}

# The module, out of tree, in a copy of the sources: kbuild writes beside them.
lab_build_module() {
  local series=$1 out=$LAB_OUT/$1 log=$LAB_OUT/$1/build.log check=() seen=$LAB_OUT/$1
  mkdir -p "$out"
  if [ "$series" = 7.x ]; then
    # Where the other root sees them.
    seen=/module
    lab_copy_sources "$DEBIAN/module"
  elif command -v sparse >/dev/null; then
    # C=2: sparse over every source, after the compiler.
    check=(C=2)
  else
    echo "note: sparse is not installed; the module is built without it"
  fi
  lab_copy_sources "$out"
  lab_make "$series" M="$seen/drivers/misc/mlos" W=1 "${check[@]}" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$log" 2>&1 ||
    { grep -E 'error|\*\*\*' "$log" >&2; lab_die "the module does not build for $series: $log"; }
  if grep -E 'warning:|error:' "$log" >&2; then lab_die "the module builds with warnings for $series"; fi
  if [ "$series" = 7.x ]; then cp "$DEBIAN/module/drivers/misc/mlos/mlos_ml.ko" "$out/drivers/misc/mlos/"; fi
}

lab_build_tests() {
  local dir=kernel/tools/testing/selftests/mlos name
  mkdir -p "$LAB_OUT/tests"
  for test in "$dir"/*_test.c; do
    name=$(basename "$test" .c)
    gcc -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O1 -static -pthread -isystem kernel/include/uapi "$test" "$dir/tap.c" \
      -o "$LAB_OUT/tests/$name" || lab_die "$name does not compile"
  done
}

# Programs that the tests call: mlosctl and the sample.
lab_build_programs() {
  local cc=(gcc -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O1 -static -isystem kernel/include/uapi)
  mkdir -p "$LAB_OUT/bin"
  "${cc[@]}" kernel/tools/mlos/*.c -o "$LAB_OUT/bin/mlosctl" || lab_die "mlosctl does not compile"
  "${cc[@]}" kernel/samples/mlos/infer.c -o "$LAB_OUT/bin/infer" || lab_die "the sample does not compile"
}

# What the programs load, at the same paths.
lab_add_libraries() {
  local root=$1 lib
  shift
  ldd "$@" | grep -o '/[^ ]* (' | tr -d ' (' | sort -u | while read -r lib; do
    mkdir -p "$root$(dirname "$lib")"
    cp -L "$lib" "$root$lib"
  done
}

# mlos-core, its worker and the echo plugin, and the test that runs them on the module.
lab_add_core() {
  local root=$1 bin=build/release/bin
  mkdir -p "$root/core/bin/plugins"
  cp "$bin/mlos-core" "$bin/mlos-worker" "$root/core/bin/"
  cp "$bin/plugins/libmlos_echo.so" "$root/core/bin/plugins/"
  strip "$root"/core/bin/mlos-* 2>/dev/null || true
  lab_add_libraries "$root" "$bin/mlos-core" "$bin/mlos-worker" "$bin/plugins/libmlos_echo.so"
  cp kernel/lab/core_test "$root/tests/core_test"
}

# The conformance suite of the backend interface, on the module this time: the program of the user-space build with its libraries.
lab_add_backend_test() {
  local root=$1 program=build/release/tests/resources_test lib
  cp "$program" "$root/bin/backend_suite"
  lab_add_libraries "$root" "$program"
  cat >"$root/tests/backend_test" <<'TEXT'
#!/bin/sh
# A skipped test means that the module was not used.
out=$(/bin/backend_suite --gtest_filter='All/BackendTest.*/Kernel' 2>&1)
rc=$?
echo "$out" | grep -q SKIPPED && rc=1
[ $rc = 0 ] || echo "$out"
echo "$([ $rc = 0 ] && echo ok || echo not ok) 1 - backend conformance: $(echo "$out" | grep -c '  OK ') tests on the module"
exit $rc
TEXT
  chmod +x "$root/tests/backend_test"
}

# lab_boot SERIES LOG [TEST...]: a machine of four CPUs and two memory nodes, in software. 0 when every test passed and the
# kernel did not complain.
lab_boot() {
  local series=$1 log=$2 root=$LAB_OUT/$1/root image=$KERNELS/$1/vmlinux rc=0 test memory=1536 limit=600 threads=multi
  shift 2
  # The emulator's threads may run an instruction of 6.12 that another has just patched and finished with: an oops in innocent code. One
  # thread for all CPUs takes as long here, only its races are coarser; the other series have those.
  if [ "$series" = 6.12 ]; then threads=single; fi
  # The kernel's own checks make everything several times slower and larger.
  if [ "$series" = debug ]; then memory=2048 limit=3000 image=$KERNELS/debug/src/arch/x86/boot/bzImage; fi
  rm -rf "$root"
  mkdir -p "$root"/{bin,tests,deps,proc,sys,dev,tmp}
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp "$LAB_OUT"/bin/* "$root/bin/"
  cp kernel/lab/init "$root/init"
  cp kernel/mlos-ml.conf "$root/"
  cp "$LAB_OUT/$series/drivers/misc/mlos/mlos_ml.ko" "$root/"
  if [ -e "$KERNELS/$series/modules" ]; then cp "$KERNELS/$series"/modules/*.ko "$root/deps/"; fi
  echo "sim_gpus=2 sim_gpu_mb=64" >"$root/parameters"
  echo "$limit" >"$root/time_limit"
  for test in "$@"; do cp "$LAB_OUT/tests/$test" "$root/tests/"; done
  lab_add_backend_test "$root"
  if [ -n "${LAB_CORE:-}" ]; then lab_add_core "$root"; fi
  (cd "$root" && find . | cpio -o -H newc --quiet) >"$LAB_OUT/$series/initrd"
  # Without five-level page tables: a KASAN kernel that is interrupted while it looks at its CPU takes good addresses for wild ones.
  timeout $((limit + 300)) qemu-system-x86_64 -M q35 -accel "tcg,thread=$threads" -cpu max,la57=off -smp 4 -m "$memory" -display none -nodefaults -no-reboot \
    -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04 -device bochs-display \
    -kernel "$image" -initrd "$LAB_OUT/$series/initrd" \
    -append "console=ttyS0 panic=-1 oops=panic quiet numa=fake=2 kasan_multi_shot log_buf_len=8M" >"$log" 2>&1 </dev/null || rc=$?
  # The test machine leaves with 2 * 16 + 1 when all is well.
  [ "$rc" = 33 ]
}
