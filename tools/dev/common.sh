# SPDX-License-Identifier: Apache-2.0
# Shared by the verbs of ./dev. They are sourced in the root of the repository, arguments in "$@".

CACHE=${MLOS_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mlos}
LOGS=$CACHE/logs
# ONNX Runtime in the Python environment of the tests sends usage data unless told otherwise.
export ORT_DISABLE_TELEMETRY=1
JOBS=${MLOS_JOBS:-$(nproc)}

die() {
  echo "error: $*" >&2
  exit 1
}

now() { date +%s.%N; }
seconds_since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f s", b - a }'; }

# step NAME TITLE: runs tools/setup/NAME.sh when it is not ready; one line when done, the end of its log when it fails.
step() {
  local name=$1 title=$2 start
  if "tools/setup/$name.sh" ready; then return; fi
  start=$(now)
  mkdir -p "$LOGS"
  echo "  ..  $title"
  if "tools/setup/$name.sh" make >"$LOGS/setup-$name.log" 2>&1 </dev/null; then
    printf '  ok  %-58s %9s\n' "$title" "$(seconds_since "$start")"
    touch "$LOGS/.setup-did-something"
  else
    echo "  FAILED  $title after $(seconds_since "$start"); the end of $LOGS/setup-$name.log:" >&2
    tail -n 25 "$LOGS/setup-$name.log" | sed 's/^/      /' >&2
    return 1
  fi
}

# Everything the build and the tests need. Compiling llama.cpp keeps the cores busy while the downloads run beside it.
run_setup() {
  local start failed=0
  start=$(now)
  mkdir -p "$LOGS"
  rm -f "$LOGS/.setup-did-something"
  find "$CACHE/deps/tmp" -mindepth 1 -maxdepth 1 -mmin +240 -exec rm -rf {} + 2>/dev/null || true
  step apt "system packages" || exit 1
  { step llama "llama.cpp 0.5.0 (built here, minutes on the first run)" &&
    step llama_jinja "llama.cpp's engine for chat templates"; } &
  local llama=$!
  {
    step onnxruntime "ONNX Runtime 1.32.0" &&
      step embedding_model "embedding model all-MiniLM-L6-v2" &&
      step venv "Python environment of the tests" &&
      step tokenizers "Hugging Face tokenizers library" &&
      step kernel_lab "kernel for the module's tests"
  } || failed=1
  wait "$llama" || failed=1
  [ "$failed" = 0 ] || die "set-up is not complete; run it again after mending the above, it continues where it stopped"
  if [ -e "$LOGS/.setup-did-something" ]; then echo "set up in $(seconds_since "$start")"; fi
}

# The peer of the GGUF benchmark, from the same build of llama.cpp that the plugin uses.
setup_bench() {
  local start
  start=$(now)
  if [ -x "$(tools/setup/llama.sh prefix)/bin/llama-bench" ]; then return; fi
  echo "  ..  llama-bench (minutes on the first run)"
  tools/setup/llama.sh bench >"$LOGS/setup-llama-bench.log" 2>&1 </dev/null || die "llama-bench: see $LOGS/setup-llama-bench.log"
  printf '  ok  %-58s %9s\n' "llama-bench" "$(seconds_since "$start")"
  touch "$LOGS/.setup-did-something"
}

# build_preset PRESET [TARGET...]: configures when needed and builds. Output only where it says something.
build_preset() {
  local preset=$1 start
  shift
  start=$(now)
  mkdir -p "$LOGS"
  if [ ! -f "build/$preset/build.ninja" ]; then
    if [ "$preset" = tidy ] || [ "$preset" = fuzz ]; then step clang "clang 19 tools" || exit 1; fi
    cmake --preset "$preset" >"$LOGS/configure-$preset.log" 2>&1 || {
      tail -n 25 "$LOGS/configure-$preset.log" >&2
      rm -f "build/$preset/build.ninja"
      die "cmake --preset $preset failed"
    }
  fi
  if [ -t 1 ]; then
    ninja -C "build/$preset" -j "$JOBS" "$@" || die "the build failed"
  else
    ninja --quiet -C "build/$preset" -j "$JOBS" "$@" || die "the build failed"
  fi
  echo "built build/$preset in $(seconds_since "$start")"
}
