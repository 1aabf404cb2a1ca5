# SPDX-License-Identifier: Apache-2.0
# ./dev demo [--keep]
run_setup
build_preset release
MLOS_BIN=$PWD/build/release/bin MLOS_DEPS=$CACHE/deps exec tools/demo.sh "$@"
