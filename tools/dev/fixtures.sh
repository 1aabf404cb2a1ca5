# SPDX-License-Identifier: Apache-2.0
# ./dev fixtures: makes the committed fixture models anew, with the frameworks they come from. Never part of set-up, build or test.
lock=tests/models/requirements-torch.lock
venv=$CACHE/fixtures-venv
if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$(sha256sum <"$lock")" ]; then
  echo "installing the frameworks into $venv (PyTorch: 5.6 GB)"
  python3 -m venv --clear "$venv"
  "$venv/bin/python" -m pip install -q --require-hashes -r "$lock"
  sha256sum <"$lock" >"$venv/.complete"
fi
PYTHON=$venv/bin/python MLOS_DEPS=$CACHE/deps tests/models/make_all.sh "$@"
