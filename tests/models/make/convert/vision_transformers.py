# SPDX-License-Identifier: Apache-2.0
"""Writes DINOv2, BEiT, Swin, LeViT and SegFormer folders of tests/models/convert, tiny, with PyTorch's answers."""
import torch
import transformers

from vision import answers, masked_case, transformer, vision_case
from common import write_golden

HIDDEN = ["last_hidden_state"]
POOLED = ["last_hidden_state", "pooler_output"]


def dinov2():
    def config(**changes):
        sizes = transformer(**changes)
        del sizes["intermediate_size"]
        return transformers.Dinov2Config(**sizes)
    # As the hub's models: positions for one size, pictures of another.
    sizes = [(12, 12), (16, 16), (23, 9)]
    model = transformers.Dinov2ForImageClassification(config(image_size=16, num_labels=5, hidden_size=15, num_attention_heads=3))
    vision_case("dinov2-cls", model, 711, sizes, full_config=True, also=("feature-extraction", model.dinov2, POOLED))
    vision_case("dinov2-base-gated", transformers.Dinov2Model(config(
        image_size=12, use_swiglu_ffn=True, qkv_bias=False, mlp_ratio=3, layer_norm_eps=1e-5)), 712, sizes, dtype=torch.float16, outputs=POOLED)
    vision_case("dinov2-base-relu", transformers.Dinov2Model(config(image_size=8, hidden_act="relu", num_channels=1)), 713,
                [(8, 8), (9, 30)], drop=("use_mask_token",), outputs=POOLED)


def beit():
    config = lambda **changes: transformers.BeitConfig(**transformer(**changes))
    model = transformers.BeitForImageClassification(config(use_relative_position_bias=True, num_labels=4, hidden_size=15,
                                                           num_attention_heads=3, image_size=13))
    vision_case("beit-cls", model, 721, [(13, 13)], full_config=True, also=("feature-extraction", model.beit, POOLED))
    vision_case("beit-cls-token", transformers.BeitForImageClassification(config(
        use_absolute_position_embeddings=True, use_mean_pooling=False, layer_scale_init_value=0.0, num_labels=3, hidden_act="gelu_new")),
        722, [(8, 8)], dtype=torch.bfloat16)
    vision_case("beit-base-shared", transformers.BeitModel(config(
        use_shared_relative_position_bias=True, use_relative_position_bias=True, layer_norm_eps=1e-6)), 723, [(8, 8)], outputs=POOLED)
    model = transformers.BeitForMaskedImageModeling(config(use_mask_token=True, use_shared_relative_position_bias=True,
                                                           use_mean_pooling=False, vocab_size=9))
    folder = vision_case("beit-masked", model, 724, [], golden=False)
    cases = []
    for batch in (1, 3):
        generator = torch.Generator().manual_seed(724 + batch)
        inputs = {"pixel_values": torch.randn((batch, 3, 8, 8), generator=generator),
                  "bool_masked_pos": torch.rand((batch, 4), generator=generator) < 0.5}
        with torch.no_grad():
            cases.append((f"batch{batch}", inputs, {"logits": model(**inputs).logits}, []))
    write_golden(folder, cases)
    write_golden(folder, answers(FirstToken(model), HIDDEN + ["pooler_output"], [(8, 8)]), "feature-extraction")


class FirstToken:
    """The encoder of a masked model, answering as BeitModel does when it is loaded from its file."""

    def __init__(self, model):
        self.config = model.config
        self.model = model.beit

    def __call__(self, **inputs):
        hidden = self.model(**inputs).last_hidden_state
        return {"last_hidden_state": hidden, "pooler_output": hidden[:, 0]}


def swin():
    config = lambda **changes: transformers.SwinConfig(**{**dict(
        image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=3, mlp_ratio=2.0,
        attn_implementation="eager"), **changes})
    # 8 x 8 places and windows of 3: padded, moved; then 4 x 4.
    model = transformers.SwinForImageClassification(config(num_labels=5))
    vision_case("swin-cls", model, 731, [(32, 32)], full_config=True, also=("feature-extraction", model.swin, POOLED))
    # 8 x 5 places, odd merges, windows as large as the last stage.
    vision_case("swin-base-odd-picture", transformers.SwinModel(config(image_size=[31, 18], window_size=2, depths=[2, 2, 2], num_heads=[2, 2, 4],
                                                                       qkv_bias=False, layer_norm_eps=1e-3, hidden_act="gelu_new")),
                732, [(31, 18)], dtype=torch.float16, outputs=POOLED)
    vision_case("swin-cls-positions", transformers.SwinForImageClassification(config(
        image_size=16, window_size=4, depths=[2], num_heads=[3], embed_dim=9, use_absolute_embeddings=True, mlp_ratio=1.5, num_labels=2,
        num_channels=1)), 733, [(16, 16)])


    # Positions of their own behind the token for what is hidden; the last stage's places stand for 8 x 8 pixels.
    model = transformers.SwinForMaskedImageModeling(config(encoder_stride=8, use_absolute_embeddings=True))
    masked_case("swin-masked", model, 734, Averaged(model), 32, POOLED)


class Averaged:
    """The encoder of a masked model, answering as SwinModel does when it is loaded from its file."""

    def __init__(self, model):
        self.config = model.config
        self.model = model.swin

    def __call__(self, **inputs):
        hidden = self.model(**inputs).last_hidden_state
        return {"last_hidden_state": hidden, "pooler_output": hidden.mean(1)}


def levit():
    config = lambda **changes: transformers.LevitConfig(**{**dict(
        image_size=48, hidden_sizes=[16, 24, 24], num_attention_heads=[2, 3, 4], depths=[1, 1, 1], key_dim=[4, 4, 4], num_channels=2), **changes})
    vision_case("levit-cls", transformers.LevitForImageClassification(config(num_labels=5)), 736, [(48, 48)], full_config=True, spread=0.7)
    model = transformers.LevitForImageClassificationWithTeacher(config(
        image_size=75, patch_size=15, num_labels=3, key_dim=[8, 5, 4], attention_ratio=[1, 2, 3], mlp_ratio=[1, 0, 2], depths=[1, 2, 1],
        num_channels=1))
    vision_case("levit-teacher", model, 737, [(75, 75, 1)], dtype=torch.float16, spread=0.7, also=("feature-extraction", model.levit, POOLED))


def segformer():
    config = lambda **changes: transformers.SegformerConfig(**{**dict(
        num_encoder_blocks=2, depths=[1, 2], sr_ratios=[4, 1], hidden_sizes=[8, 12], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 3], mlp_ratios=[2, 3], decoder_hidden_size=10, attn_implementation="eager"), **changes})
    sizes = [(32, 32, 1), (27, 21, 3)]
    model = transformers.SegformerForSemanticSegmentation(config(num_labels=5))
    vision_case("segformer-segmentation", model, 738, sizes, full_config=True, outputs=["logits"],
                also=("feature-extraction", model.segformer, HIDDEN))
    vision_case("segformer-cls", transformers.SegformerForImageClassification(config(
        num_labels=3, num_encoder_blocks=3, depths=[1, 1, 1], sr_ratios=[3, 2, 1], hidden_sizes=[6, 8, 10], patch_sizes=[5, 3, 2],
        strides=[3, 2, 2], num_attention_heads=[2, 1, 5], mlp_ratios=[2, 2, 2], hidden_act="relu", num_channels=1)), 739, sizes,
        dtype=torch.bfloat16)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (dinov2, beit, swin, levit, segformer):
        family()


if __name__ == "__main__":
    main()
