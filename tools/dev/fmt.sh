# SPDX-License-Identifier: Apache-2.0
# ./dev fmt
step clang "clang 19 tools" || exit 1
git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' '*.c' | xargs -0 -r clang-format-19 -i
