#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime: the official shared library out of the Python package, C headers out of Debian's development package
# (an older header set works with a newer library by design of its versioned API).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=1.32.0
HEADERS_SUITE=trixie
HEADERS_PACKAGE=libonnxruntime-dev
HEADERS_VERSION=1.21.0+dfsg-1

case $(uname -m) in
  x86_64)
    FILE=onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl
    SHA=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d
    HEADERS_ARCH=amd64
    HEADERS_SHA=14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08
    PLATFORM=manylinux_2_28_x86_64
    ;;
  *) fail "no pinned ONNX Runtime for $(uname -m); install one and pass -DONNXRUNTIME_ROOT=<folder> to CMake" ;;
esac

prefix() { echo "$DEPS/onnxruntime-$VERSION"; }
# An installed ONNX Runtime serves as well; cmake/FindONNXRuntime.cmake takes it.
ready() { [ -f "$(prefix)/.complete" ] || pkg-config --exists 'libonnxruntime >= 1.21.0' 2>/dev/null; }

# Debian's headers from the suite that has them, through the machine's own package sources with the suite changed, in a
# private list folder: the system's package lists and packages stay as they are.
fetch_headers() {
  local deb="${HEADERS_PACKAGE}_${HEADERS_VERSION}_${HEADERS_ARCH}.deb"
  if has_sha256 "$DEPS/downloads/$deb" "$HEADERS_SHA"; then return; fi
  local apt
  apt=$(scratch_dir apt)
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/out"
  TMPDIR=$apt "$PYTHON" "$MLOS_ROOT/tools/setup/apt_sources.py" "$HEADERS_SUITE" >"$apt/sources.list"
  local options=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::SourceList=$apt/sources.list"
    -o Dir::Etc::SourceParts=- -o Dir::State::Status=/dev/null -o APT::Sandbox::User= -o Acquire::Languages=none
    -o Acquire::Retries=5 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::=)
  apt-get "${options[@]}" update
  (cd "$apt/out" && apt-get "${options[@]}" download "$HEADERS_PACKAGE=$HEADERS_VERSION")
  local got=("$apt"/out/*.deb)
  has_sha256 "${got[0]}" "$HEADERS_SHA" ||
    fail "$HEADERS_PACKAGE $HEADERS_VERSION: expected sha256 $HEADERS_SHA, got $(sha256sum "${got[0]}")"
  mkdir -p "$DEPS/downloads"
  mv "${got[0]}" "$DEPS/downloads/$deb"
  rm -rf "$apt"
}

make_step() {
  fetch_package "onnxruntime==$VERSION" "$SHA" "$FILE" --only-binary=:all: --python-version 311 --implementation cp \
    --abi cp311 --platform "$PLATFORM"
  fetch_headers
  local stage
  stage=$(scratch_dir onnxruntime)
  mkdir -p "$stage/lib"
  "$PYTHON" "$MLOS_ROOT/tools/setup/unzip_members.py" "$DEPS/downloads/$FILE" "$stage/wheel" \
    "onnxruntime/capi/libonnxruntime.so.$VERSION" onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
  mv "$stage/wheel/onnxruntime/capi/libonnxruntime.so.$VERSION" "$stage/lib/"
  mv "$stage"/wheel/onnxruntime/*LICENSE "$stage"/wheel/onnxruntime/ThirdPartyNotices.txt "$stage/"
  ln -s "libonnxruntime.so.$VERSION" "$stage/lib/libonnxruntime.so.1"
  ln -s libonnxruntime.so.1 "$stage/lib/libonnxruntime.so"
  dpkg -x "$DEPS/downloads/${HEADERS_PACKAGE}_${HEADERS_VERSION}_${HEADERS_ARCH}.deb" "$stage/deb"
  mv "$stage/deb/usr/include/onnxruntime" "$stage/include"
  rm -rf "$stage/deb" "$stage/wheel"
  touch "$stage/.complete"
  move_into_place "$stage" "$(prefix)"
}

run_verb "$@"
