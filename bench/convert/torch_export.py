#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports a checkpoint with torch.onnx, for the convert benchmark: torch_export.py FOLDER OUT.onnx. Prints JSON: seconds of the
imports, of loading the checkpoint, of the export alone. Needs torch, transformers and onnx (onnxscript for torch's new exporter, else
the one based on traces is used)."""
import json
import pathlib
import sys
import time
import warnings

warnings.filterwarnings("ignore")
start = time.monotonic()
import torch  # noqa: E402
import transformers  # noqa: E402

imports = time.monotonic() - start


class Text(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        answer = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return answer.last_hidden_state, answer.pooler_output


class Picture(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values=pixel_values).logits


def main():
    folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    start = time.monotonic()
    is_text = json.loads((folder / "config.json").read_text())["model_type"] == "bert"
    if is_text:
        # The eager form is the one whose graph ONNX Runtime knows best.
        model = Text(transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval())
        names, outputs = ["input_ids", "attention_mask", "token_type_ids"], ["last_hidden_state", "pooler_output"]
        args = tuple(torch.ones((1, 16), dtype=torch.long) for _ in names)
        axes = {name: {0: "batch_size", 1: "sequence_length"} for name in names}
    else:
        model = Picture(transformers.AutoModelForImageClassification.from_pretrained(folder).eval())
        names, outputs, args, axes = ["pixel_values"], ["logits"], (torch.randn(1, 3, 224, 224),), {"pixel_values": {0: "batch_size"}}
    load = time.monotonic() - start
    try:
        import onnxscript  # noqa: F401
        dynamo = True
    except ImportError:
        dynamo = False
    start = time.monotonic()
    with torch.no_grad():
        torch.onnx.export(model, args, out, input_names=names, output_names=outputs, dynamic_axes=axes, opset_version=18, dynamo=dynamo)
    export = time.monotonic() - start
    print(json.dumps({"imports_s": imports, "load_s": load, "export_s": export, "torch": torch.__version__,
                      "exporter": "torch.export" if dynamo else "trace"}))


if __name__ == "__main__":
    main()
