# SPDX-License-Identifier: Apache-2.0
# ./dev bench [NAME...]: each benchmark is an executable bench/NAME/run that prints what it compares and the ratio.
names=("$@")
if [ ${#names[@]} = 0 ]; then
  for run in bench/*/run; do
    if [ -x "$run" ]; then names+=("$(basename "$(dirname "$run")")"); fi
  done
fi
[ ${#names[@]} -gt 0 ] || die "there is no benchmark in bench/"
for name in "${names[@]}"; do
  [ -x "bench/$name/run" ] || die "no benchmark '$name'; there are: $(cd bench && ls -d */ | tr -d '/\n' | tr '\n' ' ')"
done
run_setup
build_preset release
for name in "${names[@]}"; do
  echo "== $name"
  # A benchmark against llama-bench calls `./dev setup --bench` first; it then is at MLOS_LLAMA_BENCH.
  MLOS_BIN=$PWD/build/release/bin MLOS_DEPS=$CACHE/deps MLOS_BUILD=$PWD/build/release \
    MLOS_LLAMA_BENCH=$(tools/setup/llama.sh prefix)/bin/llama-bench "bench/$name/run"
done
