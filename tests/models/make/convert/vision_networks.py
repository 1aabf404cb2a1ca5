# SPDX-License-Identifier: Apache-2.0
"""Writes the convolutional networks of tests/models/convert that vision.py does not: MobileNetV2, EfficientNet, RegNet, PoolFormer, and
state dicts named as torchvision names them (their modules are written here in plain PyTorch, tiny, and come without config.json).
"""
import torch
import transformers
from torch import nn

from common import randomise, start_case, write_golden, write_tensors
from vision import answers, vision_case

HIDDEN = ["last_hidden_state"]
POOLED = ["last_hidden_state", "pooler_output"]
SIZES = [(32, 32, 1), (27, 21, 3)]  # height, width, batch


def mobilenet_v2():
    config = lambda **changes: transformers.MobileNetV2Config(**{**dict(depth_multiplier=0.05, expand_ratio=2.0, finegrained_output=False),
                                                                **changes})
    model = transformers.MobileNetV2ForImageClassification(config(num_labels=5))
    vision_case("mobilenet-v2-cls", model, 741, SIZES, full_config=True, also=("feature-extraction", model.mobilenet_v2, POOLED))
    vision_case("mobilenet-v2-base-even-padding", transformers.MobileNetV2Model(config(
        tf_padding=False, first_layer_is_expansion=False, hidden_act="relu", layer_norm_eps=1e-5, depth_divisible_by=4, min_depth=4,
        num_channels=1, depth_multiplier=0.11, expand_ratio=1.5)), 742, SIZES, outputs=POOLED)
    vision_case("mobilenet-v2-cls-fine", transformers.MobileNetV2ForImageClassification(config(
        finegrained_output=True, num_labels=3, output_stride=16)), 743, SIZES, dtype=torch.float16)
    vision_case("mobilenet-v2-segmentation", transformers.MobileNetV2ForSemanticSegmentation(config(output_stride=8, num_labels=4)), 744,
                SIZES, dtype=torch.bfloat16, outputs=["logits"])


def efficientnet():
    config = lambda **changes: transformers.EfficientNetConfig(**{**dict(
        width_coefficient=0.02, depth_coefficient=1.0, hidden_dim=24, in_channels=[32, 16, 24], out_channels=[16, 24, 400],
        kernel_sizes=[3, 5, 3], strides=[1, 2, 2], num_block_repeats=[1, 2, 1], expand_ratios=[1, 3, 2]), **changes})
    model = transformers.EfficientNetForImageClassification(config(num_labels=5))
    vision_case("efficientnet-cls", model, 751, SIZES, full_config=True, also=("feature-extraction", model.efficientnet, POOLED))
    # Deeper and wider by its coefficients, as b1 and b2 are; some blocks padded alike on all sides.
    vision_case("efficientnet-base-padding", transformers.EfficientNetModel(config(
        width_coefficient=0.03, depth_coefficient=1.4, depth_divisor=4, hidden_dim=40, depthwise_padding=[1], hidden_act="gelu",
        batch_norm_eps=1e-5, squeeze_expansion_ratio=0.5, pooling_type="max")), 752, SIZES, dtype=torch.float16, outputs=POOLED)


def regnet():
    config = lambda **changes: transformers.RegNetConfig(**{**dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 2], groups_width=4),
                                                            **changes})
    model = transformers.RegNetForImageClassification(config(num_labels=5))
    vision_case("regnet-cls", model, 761, SIZES, full_config=True, also=("feature-extraction", model.regnet, POOLED))
    vision_case("regnet-base-x", transformers.RegNetModel(config(layer_type="x", hidden_act="silu", downsample_in_first_stage=False,
                                                                hidden_sizes=[6, 10, 12], depths=[2, 1, 1], num_channels=1)),
                762, SIZES, dtype=torch.bfloat16, outputs=POOLED)


def poolformer():
    config = lambda **changes: transformers.PoolFormerConfig(**{**dict(
        hidden_sizes=[6, 10], depths=[1, 2], patch_sizes=[7, 3], strides=[4, 2], padding=[2, 1], num_encoder_blocks=2, mlp_ratio=2.0),
        **changes})
    model = transformers.PoolFormerForImageClassification(config(num_labels=5))
    vision_case("poolformer-cls", model, 771, SIZES, full_config=True, also=("feature-extraction", model.poolformer, HIDDEN))
    vision_case("poolformer-base-no-scale", transformers.PoolFormerModel(config(
        use_layer_scale=False, hidden_act="relu", pool_size=5, patch_sizes=[4, 2], padding=[0, 0], mlp_ratio=1.5)), 772, SIZES,
        dtype=torch.float16, outputs=HIDDEN)


class Block(nn.Module):
    """torchvision's BasicBlock, or Bottleneck with `groups` and a middle of `middle` channels."""

    def __init__(self, channels, width, stride, middle=None, groups=1):
        super().__init__()
        self.deep = middle is not None
        conv = lambda i, o, k, s=1, g=1: nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False)
        if self.deep:
            self.conv1, self.conv2, self.conv3 = conv(channels, middle, 1), conv(middle, middle, 3, stride, groups), conv(middle, width, 1)
            self.bn3 = nn.BatchNorm2d(width)
        else:
            self.conv1, self.conv2 = conv(channels, width, 3, stride), conv(width, width, 3)
        self.bn1, self.bn2 = nn.BatchNorm2d(self.conv1.out_channels), nn.BatchNorm2d(self.conv2.out_channels)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(conv(channels, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.deep:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, labels, widths, depths, first=6, channels=3, **block):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, first, 7, 2, 3, bias=False), nn.BatchNorm2d(first)
        previous = first
        for stage, (width, depth) in enumerate(zip(widths, depths)):
            layers = [Block(previous if i == 0 else width, width, 2 if i == 0 and stage else 1, **block) for i in range(depth)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            previous = width
        self.stages = len(widths)
        self.fc = nn.Linear(previous, labels)

    def maps(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x

    def forward(self, pixel_values):
        maps = self.maps(pixel_values)
        pooled = maps.mean((2, 3), keepdim=True)
        return {"logits": self.fc(pooled.flatten(1)), "last_hidden_state": maps, "pooler_output": pooled}


class DenseLayer(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y)))], 1)


class Transition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x):
        return nn.functional.avg_pool2d(self.conv(torch.relu(self.norm(x))), 2, 2)


class DenseNet(nn.Module):
    def __init__(self, labels, blocks, first=6, growth=4):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, first, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(first))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        channels = first
        for number, layers in enumerate(blocks, 1):
            block = nn.Sequential()
            for i in range(layers):
                block.add_module(f"denselayer{i + 1}", DenseLayer(channels, growth))
                channels += growth
            self.features.add_module(f"denseblock{number}", block)
            if number < len(blocks):
                self.features.add_module(f"transition{number}", Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, labels)

    def forward(self, pixel_values):
        maps = torch.relu(self.features(pixel_values))
        pooled = maps.mean((2, 3), keepdim=True)
        return {"logits": self.classifier(pooled.flatten(1)), "last_hidden_state": maps, "pooler_output": pooled}


def state_dict_case(name, model, seed, channels=3, rename=None, dtype=None, file="model.safetensors", hidden=True):
    """A folder without config.json. `file` with another ending is written by torch.save."""
    randomise(model, seed)
    with torch.no_grad():
        for part, module in sorted(model.named_modules()):
            if isinstance(module, nn.BatchNorm2d) and "norm" not in part:
                module.weight.add_(1)
    if dtype is not None:
        model.to(dtype).float()
    model.config = transformers.PretrainedConfig(num_channels=channels)
    folder = start_case(name)
    state = {(rename or (lambda key: key))(key): value.to(dtype) if dtype and value.is_floating_point() else value
             for key, value in model.state_dict().items()}
    if file.endswith(".safetensors"):
        write_tensors(folder / file, state)
    else:
        torch.save(state, folder / file)
    write_golden(folder, answers(model, ["logits"], SIZES))
    if hidden:
        write_golden(folder, answers(model, POOLED, [(27, 21, 1)]), "feature-extraction")


def torchvision():
    state_dict_case("torchvision-resnet-basic", ResNet(5, [8, 12], [2, 1], channels=1), 781, channels=1)
    state_dict_case("torchvision-resnext", ResNet(4, [16, 20, 24], [1, 2, 1], middle=8, groups=4), 782, file="model.pt",
                    rename=lambda key: "module." + key, hidden=False)
    state_dict_case("torchvision-densenet", DenseNet(5, [2, 3, 1]), 783)
    old = lambda key: key.replace("norm1.", "norm.1.").replace("conv1.", "conv.1.").replace("norm2.", "norm.2.").replace("conv2.", "conv.2.")
    state_dict_case("torchvision-densenet-old-names", DenseNet(3, [1, 2], growth=6), 784, rename=old, dtype=torch.float16, hidden=False)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (mobilenet_v2, efficientnet, regnet, poolformer, torchvision):
        family()


if __name__ == "__main__":
    main()
