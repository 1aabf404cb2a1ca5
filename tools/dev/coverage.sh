# SPDX-License-Identifier: Apache-2.0
# ./dev coverage
run_setup
build_preset coverage
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -j "$JOBS" --output-on-failure --no-tests=error
python3 tools/coverage.py build/coverage
