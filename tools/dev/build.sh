# SPDX-License-Identifier: Apache-2.0
# ./dev build [PRESET] [TARGET...]
preset=release
case ${1:-} in
  dev | release | asan | tsan | tidy | fuzz | coverage | bench)
    preset=$1
    shift
    ;;
esac
run_setup
build_preset "$preset" "$@"
