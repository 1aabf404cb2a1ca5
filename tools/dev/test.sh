# SPDX-License-Identifier: Apache-2.0
# ./dev test [--filter R] [PRESET]: unit tests by ctest, then the end-to-end tests by pytest.
filter=
preset=release
while [ $# -gt 0 ]; do
  case $1 in
    --filter)
      [ $# -ge 2 ] || die "--filter needs a pattern"
      filter=$2
      shift
      ;;
    dev | release | asan | tsan | coverage) preset=$1 ;;
    *) die "unknown argument '$1'; ./dev test [--filter R] [PRESET]" ;;
  esac
  shift
done

run_setup
# Gigabytes that only the tests of the fall-back need: with the whole suite, unless told not to.
if [ -z "$filter" ] && [ -z "${MLOS_SKIP_FALLBACK:-}" ]; then
  step converter "other people's converters (TensorFlow, PyTorch: 6 GB)" || exit 1
  export MLOS_REQUIRE_FALLBACK=1
fi
build_preset "$preset"

failed=()
ran=0
results=$PWD/build/$preset/test-results
rm -rf "$results"
mkdir -p "$results"
# The sanitizers stop at the first finding, with a stack.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

echo "== unit tests ($preset)"
if [ -z "$filter" ]; then
  GTEST_OUTPUT=xml:$results/ ctest --test-dir "build/$preset" -j "$JOBS" --output-on-failure --no-tests=error || failed+=("unit tests")
  ran=1
else
  # A pattern names test programs or single tests in them.
  if ctest --test-dir "build/$preset" -N -R "$filter" | grep -q 'Test *#'; then
    ctest --test-dir "build/$preset" -j "$JOBS" --output-on-failure -R "$filter" || failed+=("unit tests")
    ran=1
  else
    for program in build/"$preset"/tests/*_test; do
      [ -x "$program" ] || continue
      matching=$("$program" --gtest_list_tests | awk '/^[^ ]/ { suite = $1; next } { print suite $1 }' | grep -E -- "$filter" | paste -sd:) || continue
      [ -n "$matching" ] || continue
      ran=1
      "$program" --gtest_filter="$matching" --gtest_brief=0 || failed+=("$(basename "$program")")
    done
  fi
fi

if compgen -G 'tests/e2e/test_*.py' >/dev/null && [ -x build/venv/bin/python ]; then
  echo "== end-to-end tests ($preset)"
  rc=0
  MLOS_BIN=$PWD/build/$preset/bin MLOS_DEPS=$CACHE/deps \
    build/venv/bin/python -m pytest -q -p no:cacheprovider tests/e2e ${filter:+-k "$filter"} </dev/null || rc=$?
  # 5: no test matched the pattern.
  if [ "$rc" != 5 ]; then ran=1; fi
  if [ "$rc" != 0 ] && { [ "$rc" != 5 ] || [ -z "$filter" ]; }; then failed+=("end-to-end tests"); fi
fi

if [ -z "$filter" ] && [ "$preset" = release ]; then
  echo "== kernel module, booted"
  kernel/lab/run --no-core || failed+=("kernel module")
fi

[ "$ran" = 1 ] || die "no test matches '$filter'"
if [ -z "$filter" ]; then python3 tools/test_summary.py "$results"; fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
if [ -n "$filter" ]; then echo "all tests that match '$filter' passed"; else echo "all tests passed"; fi
