# SPDX-License-Identifier: Apache-2.0
"""Writes DETR's folders of tests/models/convert: objects, masks, hidden states; a backbone named as transformers names it and one
named as timm does; pictures of different sizes in one batch, which pixel_mask tells from their padding.
"""
import re

import torch
import transformers

from common import randomise, start_case, write_config, write_golden, write_tensors
from vision import hub_tensors

BOXES = ["logits", "pred_boxes"]
MASKS = BOXES + ["pred_masks"]


def cases(model, outputs, sizes):
    """(height, width, batch): in a batch every picture but the first ends before the right and lower edges."""
    result = []
    for height, width, batch in sizes:
        generator = torch.Generator().manual_seed(1000 * height + width + batch)
        channels = model.config.num_channels
        pixels = torch.randn((batch, channels, height, width), generator=generator)
        mask = torch.ones((batch, height, width), dtype=torch.int64)
        for i in range(1, batch):
            mask[i, height - 9 * i:] = 0
            mask[i, :, width - 7 * i:] = 0
        pixels = pixels * mask[:, None]
        inputs = {"pixel_values": pixels, "pixel_mask": mask}
        with torch.no_grad():
            answer = model(**inputs)
        result.append((f"{height}x{width}_batch{batch}", inputs, {key: answer[key] for key in outputs}, []))
    return result


def to_timm(name):
    """The same backbone under timm's names."""
    name = re.sub(r"embedder\.embedder\.convolution", "conv1", name)
    name = re.sub(r"embedder\.embedder\.normalization", "bn1", name)
    name = re.sub(r"encoder\.stages\.(\d+)\.layers", lambda m: f"layer{int(m[1]) + 1}", name)
    name = re.sub(r"layer\.(\d+)\.convolution", lambda m: f"conv{int(m[1]) + 1}", name)
    name = re.sub(r"layer\.(\d+)\.normalization", lambda m: f"bn{int(m[1]) + 1}", name)
    return name.replace("shortcut.convolution", "downsample.0").replace("shortcut.normalization", "downsample.1")


def detr_case(name, kind, seed, outputs, sizes, backbone, timm=False, dtype=None, also=None, **changes):
    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(**backbone), use_timm_backbone=False,
        **{**dict(d_model=16, num_queries=5, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=4,
                  encoder_ffn_dim=20, decoder_ffn_dim=18, num_labels=3, attn_implementation="eager"), **changes})
    model = kind(config)
    randomise(model, seed)
    with torch.no_grad():  # the backbone's norms are frozen: everything in them is a buffer
        for part, module in sorted(model.named_modules()):
            if type(module).__name__ == "DetrFrozenBatchNorm2d":
                generator = torch.Generator().manual_seed(seed + len(part))
                module.weight.copy_(1 + 0.2 * torch.randn(module.weight.shape, generator=generator))
                module.bias.copy_(0.2 * torch.randn(module.bias.shape, generator=generator))
    if dtype is not None:
        model.to(dtype).float()
    folder = start_case(name)
    written = model.config.to_dict()
    if timm:  # as the hub's first files say it
        del written["backbone_config"]
        written.update(use_timm_backbone=True, backbone="resnet50", use_pretrained_backbone=True)
    written.update(architectures=[kind.__name__], model_type="detr")
    written.pop("transformers_version", None)
    write_config(folder, written)
    state = {(to_timm(key) if timm and "backbone" in key else key): value for key, value in hub_tensors(model).items()}
    write_tensors(folder / "model.safetensors", {key: value.to(dtype) if dtype and value.is_floating_point() else value
                                                 for key, value in state.items()})
    write_golden(folder, cases(model, outputs, sizes))
    if also:
        task, part, part_outputs = also(model)
        write_golden(folder, cases(part, part_outputs, sizes[:1]), task)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    two = dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 1])
    sizes = [(40, 33, 1), (45, 27, 3)]
    detr_case("detr-objects", transformers.DetrForObjectDetection, 791, BOXES, sizes, two,
              also=lambda model: ("feature-extraction", model.model, ["last_hidden_state"]))
    detr_case("detr-objects-timm", transformers.DetrForObjectDetection, 792, BOXES, sizes,
              dict(two, hidden_sizes=[8, 16, 12]) | dict(depths=[1, 2, 1]), timm=True, dtype=torch.float16,
              activation_function="gelu")
    # Found by sweep.py: with an auxiliary loss the framework norms what every layer gives, in answers too.
    detr_case("detr-objects-auxiliary", transformers.DetrForObjectDetection, 795, BOXES, [(40, 33, 1)], dict(two, depths=[1, 1], hidden_sizes=[6, 8]),
              auxiliary_loss=True, d_model=12, encoder_attention_heads=3)
    detr_case("detr-base-learned", transformers.DetrModel, 793, ["last_hidden_state"], [(40, 33, 1), (33, 61, 3)],
              dict(two, layer_type="basic"), position_embedding_type="learned", num_channels=3, d_model=12, encoder_attention_heads=3)
    detr_case("detr-masks", transformers.DetrForSegmentation, 794, MASKS, [(64, 45, 1), (45, 38, 3)],
              dict(embedding_size=6, hidden_sizes=[8, 8, 12, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]),
              d_model=32, encoder_attention_heads=8, also=lambda model: ("object-detection", model.detr, BOXES))


if __name__ == "__main__":
    main()
