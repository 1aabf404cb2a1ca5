# SPDX-License-Identifier: Apache-2.0
# ./dev setup [--bench]
start=$(now)
run_setup
case ${1:-} in
  '') ;;
  --bench) tools/setup/llama.sh bench >"$LOGS/setup-llama-bench.log" 2>&1 || die "llama-bench: see $LOGS/setup-llama-bench.log" ;;
  *) die "unknown option $1" ;;
esac
[ -e "$LOGS/.setup-did-something" ] || echo "nothing to set up ($(seconds_since "$start"))"
