#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# llama.cpp v0.5.0 as shared libraries, built for this machine's CPU from the source tree inside the llama-cpp-python
# source package. One prefix per version, flags, compiler and CPU. `llama.sh bench` adds llama-bench, as the peer to measure against;
# `llama.sh source` prints where the source tree lies, and puts it there.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGE=llama-cpp-python==0.3.36
FILE=llama_cpp_python-0.3.36.tar.gz
SHA=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
TREE=llama_cpp_python-0.3.36/vendor/llama.cpp

# GGML_CCACHE is off because a compiler cache shared between machines does not tell one -march=native from another.
FLAGS=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON -DGGML_CCACHE=OFF
  -DLLAMA_BUILD_IS_DEV=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF
  '-DCMAKE_INSTALL_RPATH=$ORIGIN;$ORIGIN/../lib' -DCMAKE_INSTALL_LIBDIR=lib)
LIBRARY_ONLY=(-DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF)

key() {
  {
    echo "$SHA ${FLAGS[*]}"
    ${CXX:-c++} -dumpfullversion
    uname -m
    grep -m1 -E '^(flags|Features)' /proc/cpuinfo
  } | sha256sum | cut -c1-16
}

KEY=$(key)
prefix() { echo "$DEPS/llama-$KEY"; }
# An installed llama.cpp serves as well; cmake/FindLlama.cmake takes it.
ready() { [ -f "$(prefix)/.complete" ] || pkg-config --exists 'llama >= 0.5.0' 2>/dev/null; }

source_tree() {
  local src=$DEPS/llama-src-${SHA:0:12}
  if [ ! -d "$src" ]; then
    # The stand-in backend (see there) lets pip hand over the source package without building anything.
    PYTHONPATH=$MLOS_ROOT/tools/setup/sdist_backend PYTHONDONTWRITEBYTECODE=1 \
      fetch_package "$PACKAGE" "$SHA" "$FILE" --no-binary=:all: --no-build-isolation >&2
    local tmp
    tmp=$(scratch_dir llama-src)
    tar -xzf "$DEPS/downloads/$FILE" -C "$tmp" --strip-components=3 "$TREE"
    move_into_place "$tmp" "$src"
  fi
  echo "$src"
}

make_step() {
  local src build=$DEPS/llama-build-$KEY stage
  src=$(source_tree)
  cmake -S "$src" -B "$build" "${FLAGS[@]}" "${LIBRARY_ONLY[@]}"
  cmake --build "$build" -j "$(jobs_count)" --target llama
  stage=$(scratch_dir llama)
  cmake --install "$build" --prefix "$stage" --strip
  cp "$src/LICENSE" "$stage/LICENSE"
  touch "$stage/.complete"
  move_into_place "$stage" "$(prefix)"
}

make_bench() {
  local build=$DEPS/llama-build-$KEY
  [ -f "$(prefix)/.complete" ] || make_step
  if [ ! -x "$(prefix)/bin/llama-bench" ]; then
    cmake -S "$(source_tree)" -B "$build" "${FLAGS[@]}" -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON \
      -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
    cmake --build "$build" -j "$(jobs_count)" --target llama-bench
    mkdir -p "$(prefix)/bin"
    # The installed libraries serve it, so that it measures the very code the plugin runs.
    cp -L "$build"/bin/libllama-common.so.0 "$build"/bin/libllama-bench-impl.so "$(prefix)/lib/"
    cp "$build/bin/llama-bench" "$(prefix)/bin/llama-bench.tmp"
    mv "$(prefix)/bin/llama-bench.tmp" "$(prefix)/bin/llama-bench"
  fi
}

if [ "${1:-}" = source ]; then
  mkdir -p "$DEPS"
  exec 8>"$DEPS/.lock-llama"
  flock 8
  source_tree
elif [ "${1:-}" = bench ]; then
  mkdir -p "$DEPS"
  exec 8>"$DEPS/.lock-llama"
  flock 8
  make_bench
else
  run_verb "$@"
fi
