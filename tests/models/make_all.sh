#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the fixture models anew: make_all.sh [onnx] [bert] [digits] [addition-train] [addition] [embedding] [convert-text] [convert-vision] [convert-image_text] [convert-vision_transformers] [convert-vision_networks] [convert-detection] [convert-torch_files] [convert-generative] [convert-audio] [gguf-decoders]; all without a name.
# Called by `./dev fixtures`, which sets PYTHON to an interpreter with requirements-torch.lock installed. Says at the end which
# files differ from MODELS.sha256 and, of answers, how far (make/compare.py); --update writes the new sums.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python3}
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
# One instruction set for everybody, so that the same seeds give the same bytes.
export ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 ONEDNN_MAX_CPU_ISA=AVX2

update=0
names=()
for argument in "$@"; do
  if [ "$argument" = --update ]; then update=1; else names+=("$argument"); fi
done
if [ ${#names[@]} = 0 ]; then names=(onnx bert digits addition-train addition embedding convert-text convert-vision convert-image_text convert-vision_transformers convert-vision_networks convert-detection convert-torch_files convert-generative convert-audio gguf-decoders); fi

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -r . "$before"

for name in "${names[@]}"; do
  case $name in
    onnx) script=onnx_basic.py ;;
    bert) script=bert.py ;;
    digits) script=digits.py ;;
    addition-train) script=addition_train.py ;;
    addition) script=addition_export.py ;;
    embedding) script=embedding_gguf.py ;;
    gguf-*) script=gguf/${name#gguf-}.py ;;
    convert-*) script=convert/${name#convert-}.py ;;
    *)
      echo "error: no model named '$name'" >&2
      exit 2
      ;;
  esac
  echo "== $name"
  "$python" "make/$script"
done

sums() { find . -mindepth 2 -type f -not -path './make/*' -not -name '*.pyc' | sort | xargs sha256sum; }
if [ "$update" = 1 ]; then
  sums >MODELS.sha256
  echo "wrote MODELS.sha256: $(wc -l <MODELS.sha256) files, $(find . -mindepth 2 -type f -not -path './make/*' -printf '%s\n' | awk '{ s += $1 } END { print s }') bytes"
elif sums | diff MODELS.sha256 - >/dev/null; then
  echo "every file is what MODELS.sha256 says"
else
  echo "files that differ from MODELS.sha256:"
  mapfile -t differ < <(sums | diff MODELS.sha256 - | awk '/^[<>]/ { print $3 }' | sort -u)
  "$python" make/compare.py "$before" . "${differ[@]}"
fi
