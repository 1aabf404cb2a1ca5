# SPDX-License-Identifier: Apache-2.0
# ./dev fuzz [TARGET] [SECONDS]: finds grow build/fuzz/found/TARGET; what should stay is copied to fuzz/corpus/TARGET by hand.
target=${1:-}
seconds=${2:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is no number of seconds"
step clang "clang 19 tools" || exit 1
run_setup
if [ -n "$target" ]; then build_preset fuzz "fuzz_$target"; else build_preset fuzz fuzzers; fi
programs=(build/fuzz/fuzz/fuzz_*)
[ -z "$target" ] || programs=("build/fuzz/fuzz/fuzz_$target")
for program in "${programs[@]}"; do
  [ -x "$program" ] || die "there is no fuzz target${target:+ '$target'}"
  name=$(basename "$program")
  name=${name#fuzz_}
  echo "== $name for $seconds s"
  mkdir -p "build/fuzz/found/$name" "fuzz/corpus/$name"
  "$program" -max_total_time="$seconds" -print_final_stats=1 -timeout=20 -rss_limit_mb=4096 \
    -artifact_prefix="build/fuzz/found/$name-" "build/fuzz/found/$name" "fuzz/corpus/$name"
done
