# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder share: random weights that hide no bug, and case folders under tests/models/convert.

A case folder holds config.json, model.safetensors and golden.safetensors (golden.<task>.safetensors for another task than the
one config.json asks for). In the latter `<case>/in/<name>` is an input, `<case>/out/<name>` an output and `<case>/finite_only`
the rows (fully masked) whose numbers are open as long as they are finite. Of a model of several graphs a case is named
`<graph>@<case>` ("encoder_model@length_one"). tests/convert/case_golden_test.cc runs every folder.
"""
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "convert"


def randomise(model, seed, spread=1.2, skip=()):
    """Weights large enough that every part of the graph shows in the answer; norms around 1, biases not zero. Buffers named
    running_mean/running_var too; every other buffer (rotary tables, positions) is left alone."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if any(part in name for part in skip):
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * noise)
            elif "embedding" in name:
                parameter.copy_(0.5 * noise)
            else:
                fan_in = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
                parameter.copy_(noise * (spread / fan_in ** 0.5))
        for name, buffer in sorted(model.named_buffers()):
            if name.endswith("running_mean"):
                buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model.eval()


def write_config(folder, config):
    (folder / "config.json").write_text(json.dumps(dict(sorted(config.items())), indent=1) + "\n")


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, str(path),
              metadata={"format": "pt"})
    path.chmod(0o644)


def start_case(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_golden(folder, cases, task=None):
    """cases: [(name, inputs, outputs, rows whose values are open)], inputs and outputs as {name: tensor}."""
    tensors = {}
    for name, inputs, outputs, finite_only in cases:
        tensors.update({f"{name}/in/{key}": value for key, value in inputs.items()})
        for key, value in outputs.items():
            assert torch.isfinite(value).all(), (folder.name, name, key)
            tensors[f"{name}/out/{key}"] = value.float()
        if finite_only:
            tensors[f"{name}/finite_only"] = torch.tensor(finite_only)
    write_tensors(folder / ("golden.safetensors" if task is None else f"golden.{task}.safetensors"), tensors)
