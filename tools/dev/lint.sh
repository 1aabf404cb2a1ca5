# SPDX-License-Identifier: Apache-2.0
# ./dev lint [--all]: what a reviewer should not have to say.
all=0
case ${1:-} in
  '') ;;
  --all) all=1 ;;
  *) die "unknown option $1" ;;
esac
step clang "clang 19 tools" || exit 1
failed=()

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.h' '*.cc' '*.c')
echo "== clang-format (${#sources[@]} files)"
printf '%s\0' "${sources[@]}" | xargs -0 -r clang-format-19 --dry-run -Werror || failed+=(clang-format)

echo "== include layers"
python3 tools/check_layers.py || failed+=(layers)

echo "== kernel style"
kernel/lab/checkpatch || failed+=(checkpatch)

if command -v shellcheck >/dev/null; then
  echo "== shellcheck"
  # The parts of ./dev are sourced: no shebang line, and what one sets another reads.
  { git grep -lI --untracked -E '^#!/bin/(ba)?sh' -- ':!*.md' && ls tools/dev/*.sh tools/setup/*.sh; } | sort -u |
    xargs -r shellcheck -x -s bash -e SC2034 -S warning || failed+=(shellcheck)
fi

mapfile -t units < <(
  if [ "$all" = 1 ]; then
    git ls-files '*.cc'
  else
    base=$(git merge-base HEAD "$(git rev-parse --verify -q origin/main || git rev-parse --verify -q main || git rev-parse HEAD)")
    { git diff --name-only --diff-filter=d "$base" -- '*.cc' && git ls-files --others --exclude-standard '*.cc'; } | sort -u
  fi
)
if [ ${#units[@]} -gt 0 ]; then
  echo "== clang-tidy (${#units[@]} files)"
  run_setup
  cmake --preset tidy >"$LOGS/configure-tidy.log" 2>&1 || die "cmake --preset tidy: see $LOGS/configure-tidy.log"
  # Only what the tree compiles has flags to check it with.
  mapfile -t units < <(python3 tools/in_compile_commands.py build/tidy "${units[@]}")
  printf '%s\0' "${units[@]}" | xargs -0 -r -n 1 -P "$JOBS" clang-tidy-19 --quiet -p build/tidy 2>"$LOGS/tidy.err" || failed+=(clang-tidy)
  grep -E 'error:|error running' "$LOGS/tidy.err" || true
fi

[ ${#failed[@]} = 0 ] || die "lint: ${failed[*]}"
echo "lint: clean"
