# SPDX-License-Identifier: Apache-2.0
# ./dev clean [--all]
case ${1:-} in
  '') rm -rf build ;;
  --all) rm -rf build "$CACHE/deps" "$LOGS" "$CACHE/fixtures-venv" ;;
  *) die "unknown option $1" ;;
esac
