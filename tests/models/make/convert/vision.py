# SPDX-License-Identifier: Apache-2.0
"""Writes the image models of tests/models/convert: every architecture and head, tiny, with PyTorch's answers.

The files hold the names that transformers writes (those of the hub, not of its modules). The folders differ on purpose: prefix
or none, odd head counts, pictures that are not square and no multiple of the patch, biases left out, F16 and BF16 weights.
"""
import tempfile

import torch
import transformers
from safetensors.torch import load_file

from common import randomise, start_case, write_config, write_golden, write_tensors


def answers(model, outputs, sizes):
    """Batches 1 and 3 of pictures of every size (height, width); (height, width, batch) is that batch alone."""
    cases = []
    for height, width, *batches in sizes:
        for batch in batches or (1, 3):
            generator = torch.Generator().manual_seed(1000 * height + width + batch)
            pixels = torch.randn((batch, model.config.num_channels, height, width), generator=generator)
            with torch.no_grad():
                answer = model(pixel_values=pixels)
            cases.append((f"{height}x{width}_batch{batch}", {"pixel_values": pixels},
                          {key: answer[key] for key in outputs}, []))
    return cases


def masked_answers(model, output="reconstruction"):
    """Batches 1 and 3 of pictures of which some patches are hidden."""
    config, cases = model.config, []
    sides = [size if isinstance(size, (list, tuple)) else (size, size) for size in (config.image_size, config.patch_size)]
    (height, width), (patch_height, patch_width) = sides
    for batch in (1, 3):
        generator = torch.Generator().manual_seed(batch)
        inputs = {"pixel_values": torch.randn((batch, config.num_channels, height, width), generator=generator),
                  "bool_masked_pos": torch.rand((batch, (height // patch_height) * (width // patch_width)), generator=generator) < 0.5}
        with torch.no_grad():
            cases.append((f"batch{batch}", inputs, {output: model(**inputs)[output]}, []))
    return cases


def masked_case(name, model, seed, encoder, size, outputs, **options):
    """A masked model's folder; `encoder`, the model without its head, gives `outputs`."""
    folder = vision_case(name, model, seed, [], golden=False, **options)
    write_golden(folder, masked_answers(model))
    write_golden(folder, answers(encoder, outputs, [(size, size)]), "feature-extraction")


def outputs_of(model):
    if "Classification" in type(model).__name__:
        return ["logits"]
    pools = getattr(model, "pooler", None) is not None or isinstance(model, transformers.ConvNextModel)
    return ["last_hidden_state", "pooler_output"] if pools else ["last_hidden_state"]


def hub_tensors(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(folder + "/model.safetensors")


def vision_case(name, model, seed, sizes, full_config=False, dtype=None, also=None, add=None, drop=(), outputs=None, golden=True,
                spread=1.2):
    """One folder, returned. `also`: (task, model, outputs). `add`: tensors that the file has besides. `drop`: keys the config leaves out."""
    randomise(model, seed, spread)
    if dtype is not None:
        model.to(dtype).float()
    folder = start_case(name)
    config, defaults = model.config.to_dict(), type(model.config)().to_dict()
    if not full_config:  # as old files: what equals the default is left out
        config = {key: value for key, value in config.items() if value != defaults.get(key)}
    config.update(architectures=[type(model).__name__], model_type=model.config.model_type)
    for key in ("transformers_version", *drop):
        config.pop(key, None)
    write_config(folder, config)
    state = {**hub_tensors(model), **(add or {})}
    write_tensors(folder / "model.safetensors",
                  {key: value.to(dtype) if dtype and value.is_floating_point() else value for key, value in state.items()})
    if golden:
        write_golden(folder, answers(model, outputs or outputs_of(model), sizes))
    if also:
        task, part, part_outputs = also
        write_golden(folder, answers(part, part_outputs, [size[:2] + (1,) if len(size) > 2 else size for size in sizes]), task)
    return folder


def transformer(**changes):
    return {**dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20, image_size=8, patch_size=4,
                   attn_implementation="eager"), **changes}


def vit():
    config = lambda **changes: transformers.ViTConfig(**transformer(**changes))
    vision_case("vit-base", transformers.ViTModel(config(hidden_size=15, num_attention_heads=3, pooler_output_size=7,
                                                         pooler_act="relu", num_channels=1)), 601, [(8, 8)])
    vision_case("vit-base-no-pooler", transformers.ViTModel(config(qkv_bias=False, layer_norm_eps=1e-6),
                                                            add_pooling_layer=False), 602, [(8, 8)], dtype=torch.bfloat16)
    model = transformers.ViTForImageClassification(config(image_size=[13, 10], patch_size=[4, 3], num_labels=5))
    vision_case("vit-cls-odd-picture", model, 603, [(13, 10)], full_config=True,
                also=("feature-extraction", model.vit, ["last_hidden_state"]), add={"vit.embeddings.mask_token": torch.zeros(1, 1, 16)})
    model = transformers.ViTForMaskedImageModeling(config(encoder_stride=4, image_size=12, num_channels=2))
    masked_case("vit-masked", model, 605, model.vit, 12, ["last_hidden_state"])
    vision_case("vit-cls", transformers.ViTForImageClassification(config(hidden_act="gelu_new", num_labels=3)), 604, [(8, 8)],
                dtype=torch.float16)


def deit():
    config = lambda **changes: transformers.DeiTConfig(**transformer(**changes))
    vision_case("deit-base", transformers.DeiTModel(config(hidden_size=15, num_attention_heads=5)), 611, [(8, 8)])
    vision_case("deit-cls", transformers.DeiTForImageClassification(config(num_labels=4, hidden_act="relu")), 612, [(8, 8)],
                full_config=True)
    model = transformers.DeiTForImageClassificationWithTeacher(config(image_size=[11, 8], num_labels=3))
    vision_case("deit-teacher", model, 613, [(11, 8)], also=("feature-extraction", model.deit, ["last_hidden_state"]))
    model = transformers.DeiTForMaskedImageModeling(config(encoder_stride=4))
    masked_case("deit-masked", model, 614, model.deit, 8, ["last_hidden_state"], dtype=torch.float16)


def resnet():
    config = lambda **changes: transformers.ResNetConfig(**{**dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 2]), **changes})
    sizes = [(32, 32), (45, 27)]
    vision_case("resnet-cls", transformers.ResNetForImageClassification(config(num_labels=5)), 621, sizes, full_config=True)
    model = transformers.ResNetForImageClassification(config(layer_type="basic", hidden_sizes=[6, 10, 10], depths=[2, 1, 1],
                                                             hidden_act="silu", num_labels=3, num_channels=1))
    vision_case("resnet-cls-basic", model, 622, sizes,
                also=("feature-extraction", model.resnet, ["last_hidden_state", "pooler_output"]))
    vision_case("resnet-base", transformers.ResNetModel(config(downsample_in_first_stage=True, downsample_in_bottleneck=True)),
                623, sizes, dtype=torch.float16)


def convnext():
    config = lambda **changes: transformers.ConvNextConfig(**{**dict(hidden_sizes=[6, 10], depths=[1, 2], num_stages=2), **changes})
    model = transformers.ConvNextForImageClassification(config(num_labels=3, image_size=[21, 18]))
    vision_case("convnext-cls", model, 631, [(21, 18)], also=("feature-extraction", model.convnext,
                                                             ["last_hidden_state", "pooler_output"]))
    vision_case("convnext-base-any-size", transformers.ConvNextModel(config(
        hidden_sizes=[6, 8, 8], depths=[1, 1, 1], num_stages=3, patch_size=[3, 2], hidden_act="gelu_new", layer_scale_init_value=0.0,
        layer_norm_eps=1e-6)), 632, [(28, 28), (33, 25)])


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (vit, deit, resnet, convnext):
        family()


if __name__ == "__main__":
    main()
