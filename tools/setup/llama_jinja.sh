#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# llama.cpp's Jinja engine (common/jinja) as a static library: it renders the chat template that a GGUF file carries. The rest
# of llama.cpp's `common` is not needed, and takes five times as long to build.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LLAMA=$MLOS_ROOT/tools/setup/llama.sh
SOURCES=(common/jinja/{lexer,parser,runtime,string,value}.cpp common/unicode.cpp common/json.cpp)
FLAGS=(-std=c++17 -O2 -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden)

# The source's hash is that of the package llama.sh pins.
key() { { grep -m1 '^SHA=' "$LLAMA"; echo "${SOURCES[*]} ${FLAGS[*]}"; ${CXX:-c++} -dumpfullversion; uname -m; } | sha256sum | cut -c1-16; }

KEY=$(key)
prefix() { echo "$DEPS/llama-jinja-$KEY"; }
ready() { [ -f "$(prefix)/.complete" ]; }

make_step() {
  local src stage file
  src=$("$LLAMA" source)
  stage=$(scratch_dir llama-jinja)
  mkdir -p "$stage/lib" "$stage/include/jinja" "$stage/o"
  printf '%s\n' "${SOURCES[@]}" | xargs -P "$(jobs_count)" -I{} sh -c \
    "\${CXX:-c++} ${FLAGS[*]} -I'$src/common' -I'$src/vendor' -I'$src/ggml/include' -c '$src/{}' -o '$stage/o/'\$(basename {} .cpp).o"
  ar rcs "$stage/lib/libllama-jinja.a" "$stage"/o/*.o
  rm -r "$stage/o"
  for file in "$src"/common/jinja/*.h; do cp "$file" "$stage/include/jinja/"; done
  cp "$src/LICENSE" "$stage/LICENSE"
  touch "$stage/.complete"
  move_into_place "$stage" "$(prefix)"
}

run_verb "$@"
