#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on real input: three models installed from a hub, served, asked, and their answers checked.
# Called by ./dev demo [--keep] with MLOS_BIN (the programs) and MLOS_DEPS (what ./dev setup unpacked).
set -euo pipefail
cd "$(dirname "$0")/.."

keep=0
for argument in "$@"; do
  case $argument in
    --keep) keep=1 ;;
    *)
      echo "usage: ./dev demo [--keep]" >&2
      exit 2
      ;;
  esac
done

demo=$PWD/build/demo
hub=$demo/hub
export MLOS_HOME=$demo/home PATH=$MLOS_BIN:$PATH
unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE
export HF_HOME=$demo/empty-hf-cache
mirror_pid=
core_pid=

stop() {
  [ -z "$mirror_pid" ] || kill "$mirror_pid" 2>/dev/null || true
  if [ -n "$core_pid" ] && [ "$keep" = 0 ]; then
    kill "$core_pid" 2>/dev/null || true
    wait "$core_pid" 2>/dev/null || true
  fi
}
trap stop EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() {
  printf '\033[2m$ %s\033[0m\n' "$*"
  "$@"
}

# wait_for FILE PID LOG: until a program started in the background has written its port.
wait_for() {
  local tries=0
  until [ -s "$1" ]; do
    kill -0 "$2" 2>/dev/null || { cat "$3" >&2; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "no port in $1 after 30 s; log:" >&2; cat "$3" >&2; exit 1; }
    sleep 0.1
  done
}

# A core that an earlier --keep left running holds this home.
if [ -f "$demo/core.pid" ]; then kill "$(cat "$demo/core.pid")" 2>/dev/null && sleep 1 || true; fi
rm -rf "$demo"
mkdir -p "$hub/sentence-transformers" "$hub/mlos" "$MLOS_HOME"
ln -s "$MLOS_DEPS/all-MiniLM-L6-v2" "$hub/sentence-transformers/all-MiniLM-L6-v2"
mkdir "$hub/mlos/digits"
cp tests/models/digits/{config.json,model.onnx} "$hub/mlos/digits/"
mkdir "$hub/mlos/addition"
cp tests/models/addition/model-f16.gguf "$hub/mlos/addition/"

say "1. A hub on this machine (any Hugging Face endpoint works the same way)"
axon mirror "$hub" --port 0 --port-file "$demo/mirror.port" >"$demo/mirror.log" 2>&1 &
mirror_pid=$!
wait_for "$demo/mirror.port" "$mirror_pid" "$demo/mirror.log"
HF_ENDPOINT=http://127.0.0.1:$(cat "$demo/mirror.port")
export HF_ENDPOINT
echo "HF_ENDPOINT=$HF_ENDPOINT"

minilm=hf/sentence-transformers/all-MiniLM-L6-v2@latest
digits=hf/mlos/digits@latest
addition=hf/mlos/addition@latest

say "2. Install: SafeTensors is converted natively, ONNX and GGUF are kept as they are"
for model in "$minilm" "$digits" "$addition"; do show axon install "$model"; done
show axon list

say "3. Serve"
port=${MLOS_DEMO_PORT:-8080}
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  echo "port $port is in use, taking a free one"
  port=0
fi
# A session of its own, so that --keep outlives this terminal.
setsid mlos-core --port "$port" --port-file "$demo/core.port" --log-file "$demo/core.log" </dev/null >"$demo/core.out" 2>&1 &
core_pid=$!
echo "$core_pid" >"$demo/core.pid"
wait_for "$demo/core.port" "$core_pid" "$demo/core.out"
MLOS_CORE_ENDPOINT=http://127.0.0.1:$(cat "$demo/core.port")
export MLOS_CORE_ENDPOINT
for model in "$minilm" "$digits" "$addition"; do show axon register "$model"; done

say "4. Ask"
build/venv/bin/python tools/demo/ask.py "$MLOS_CORE_ENDPOINT" "$minilm" "$digits" "$addition"

if [ "$keep" = 1 ]; then
  say "mlos-core is running (pid $core_pid). Ask it yourself:"
else
  say "The same with curl, while mlos-core runs (./dev demo --keep leaves it running):"
fi
encoded() { printf '%s' "$1" | sed 's/\//%2F/g; s/@/%40/g'; }
cat <<EOF
curl -s $MLOS_CORE_ENDPOINT/models/$(encoded "$minilm")/inference -d '{"inputs": "The cat sleeps on the sofa."}'
curl -s $MLOS_CORE_ENDPOINT/models/$(encoded "$digits")/inference -d @<(build/venv/bin/python tools/demo/digit.py 0)
curl -s $MLOS_CORE_ENDPOINT/models/$(encoded "$addition")/inference -d '{"prompt": "23+45=", "max_tokens": 4, "temperature": 0}'
EOF
if [ "$keep" = 1 ]; then
  echo "stop it: kill $core_pid"
fi
