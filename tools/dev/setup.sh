# SPDX-License-Identifier: Apache-2.0
# ./dev setup [--bench]
start=$(now)
run_setup
case ${1:-} in
  '') ;;
  --bench) setup_bench ;;
  *) die "unknown option $1" ;;
esac
[ -e "$LOGS/.setup-did-something" ] || echo "nothing to set up ($(seconds_since "$start"))"
