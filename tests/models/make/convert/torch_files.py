# SPDX-License-Identifier: Apache-2.0
"""Writes the torch-* folders of tests/models/convert: checkpoints of other folders there, as every kind of file that torch
writes, with the answers of the folder they come from. Run after text.py and vision.py."""
import io
import json
import pickle
import pickletools
import shutil
import struct

import torch
from safetensors.torch import load_file

from common import OUT, start_case


def start(name, source):
    """A folder with the source's config and answers; returns it and the source's tensors."""
    folder = start_case(name)
    for path in sorted((OUT / source).iterdir()):
        if path.name.startswith("golden.") or path.name.endswith(".json"):
            shutil.copyfile(path, folder / path.name)
    return folder, load_file(str(OUT / source / "model.safetensors"))


def save(value, path):
    torch.save(value, str(path))
    path.chmod(0o644)


def save_legacy(value, path):
    """torch's own legacy format, in which storages are called after their addresses: given numbers here, and sorted by them."""
    (element_bytes,) = {tensor.element_size() for tensor in value.values()}
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    raw, ends = buffer.getvalue(), [0]
    for _ in range(5):
        *_, (_, _, stop) = pickletools.genops(raw[ends[-1]:])
        ends.append(ends[-1] + stop + 1)
    described = raw[ends[3]:ends[4]]
    keys = pickle.loads(raw[ends[4]:ends[5]])
    blocks, at = {}, ends[5]
    for key in keys:
        (count,) = struct.unpack_from("<Q", raw, at)
        blocks[key] = raw[at:at + 8 + element_bytes * count]
        at += 8 + element_bytes * count
    assert at == len(raw)
    order = sorted(keys, key=lambda key: described.index(key.encode()))
    numbers = {key: str(number).zfill(len(key)) for number, key in enumerate(order)}
    for key, number in numbers.items():
        described = described.replace(key.encode(), number.encode())
    path.write_bytes(raw[:ends[3]] + described + pickle.dumps([numbers[key] for key in order], 2)
                     + b"".join(blocks[key] for key in order))
    path.chmod(0o644)


def modules_of(tensors):
    """A tree of modules whose state dict is `tensors`."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *parents, leaf = name.split(".")
        module = root
        for parent in parents:
            if parent not in module._modules:
                module.add_module(parent, torch.nn.Module())
            module = module._modules[parent]
        if tensor.is_floating_point() and not leaf.startswith("running_"):
            module.register_parameter(leaf, torch.nn.Parameter(tensor))
        else:
            module.register_buffer(leaf, tensor)
    return root


class Scripted(torch.nn.Module):
    """What torch.jit.trace can save: the tree, and a forward that touches none of it."""

    def __init__(self, tensors):
        super().__init__()
        for name, module in modules_of(tensors)._modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return x + 1


def old_names(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def strided(tensors):
    """Transposed matrices, rows of one large storage with a gap, every second column, and a vector of equal values that is one."""
    out = dict(tensors)
    matrices = [name for name, tensor in sorted(tensors.items()) if tensor.ndim == 2]
    for name in matrices[::2]:
        out[name] = tensors[name].t().contiguous().t()
    for name in matrices[1::4]:
        wide = torch.zeros(tensors[name].shape[0], 2 * tensors[name].shape[1] + 3)
        wide[:, 3::2] = tensors[name]
        out[name] = wide[:, 3::2]
    kernels = [name for name, tensor in sorted(tensors.items()) if tensor.ndim == 4]
    for name in kernels:
        out[name] = tensors[name].to(memory_format=torch.channels_last)
    vectors = [name for name, tensor in sorted(tensors.items()) if tensor.ndim == 1]
    whole = torch.cat([torch.zeros(1)] + [tensors[name] for name in vectors])
    at = 1
    for name in vectors:
        out[name] = whole[at:at + tensors[name].numel()]
        at += tensors[name].numel()
    return out


def save_script(script, path):
    """Without the records that say where in which file of this machine the code came from."""
    torch.jit.save(script, str(path))
    reader = torch._C.PyTorchFileReader(str(path))
    records = {name: reader.get_record(name) for name in reader.get_all_records() if not name.endswith(".debug_pkl")}
    del reader
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, data in sorted(records.items()):
        if name not in ("version", "byteorder", ".data/serialization_id"):
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    path.chmod(0o644)


def main():
    folder, tensors = start("torch-zip", "mpnet-tokens")
    save({name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}, folder / "pytorch_model.bin")

    folder, tensors = start("torch-zip-old-names", "electra-base-same-width")
    save({old_names(name): tensor for name, tensor in tensors.items()}, folder / "pytorch_model.bin")

    folder, tensors = start("torch-legacy", "albert-qa")
    save_legacy({name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}, folder / "pytorch_model.bin")

    folder, tensors = start("torch-shards", "distilbert-qa")
    names, shards = sorted(tensors), ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    halves = [names[:len(names) // 2], names[len(names) // 2:]]
    for shard, half in zip(shards, halves):
        save({name: tensors[name] for name in half}, folder / shard)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
             "weight_map": {name: shard for shard, half in zip(shards, halves) for name in half}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")

    folder, tensors = start("torch-strided", "vit-cls")
    save({"epoch": 3, "state_dict": {"module." + name: tensor for name, tensor in strided(tensors).items()},
          "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}}, folder / "checkpoint.pth")

    folder, tensors = start("torch-scripted", "roberta-tokens")
    save_script(torch.jit.trace(Scripted(tensors), torch.zeros(1)), folder / "model.pt")

    folder, tensors = start("torch-module", "resnet-cls-basic")
    save(modules_of(tensors), folder / "model.pt")

    folder, tensors = start("torch-narrow", "camembert-base")
    assert any(tensor.dtype == torch.bfloat16 for tensor in tensors.values())
    save({"model": tensors}, folder / "pytorch_model.bin")


if __name__ == "__main__":
    main()
