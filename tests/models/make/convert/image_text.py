# SPDX-License-Identifier: Apache-2.0
"""Writes CLIP's folders of tests/models/convert: both sides together, each alone, with and without projection.

The folders differ on purpose: prefix or none, odd head counts, end tokens as old and new files say them, `text_config_dict` as the
oldest files have it, keys left out, F16 weights.
"""
import torch
import transformers

from common import randomise, start_case, write_config, write_golden, write_tensors
from vision import hub_tensors

TEXT = dict(vocab_size=50, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=12, projection_dim=10, eos_token_id=49, bos_token_id=48, pad_token_id=1)
VISION = dict(hidden_size=15, intermediate_size=18, num_hidden_layers=2, num_attention_heads=3, image_size=11, patch_size=4,
              projection_dim=10)


def texts(end, seed):
    """(name, ids, mask, rows that are open): batches of 1 and 3, padding on either side, the end token as padding, one token, the
    longest text, a row that is all padding."""
    generator = torch.Generator().manual_seed(seed)

    def ids(batch, length, stop):
        words = torch.randint(3, min(end, 48) if end > 2 else 48, (batch, length), generator=generator)
        words[:, stop] = end if end > 2 else 49
        return words

    def mask(batch, length, kept):
        rows = torch.zeros((batch, length), dtype=torch.int64)
        for row, (first, last) in enumerate(kept):
            rows[row, first:last] = 1
        return rows

    full = lambda batch, length: torch.ones((batch, length), dtype=torch.int64)
    padded = ids(3, 7, 6)
    padded[1, 4:] = end if end > 2 else 49
    padded[2, 2:] = end if end > 2 else 49
    return [("one", ids(1, 5, 4), full(1, 5), []), ("one_token", ids(1, 1, 0), full(1, 1), []),
            ("longest", ids(1, 12, 9), full(1, 12), []),
            ("padding_right", padded, mask(3, 7, [(0, 7), (0, 5), (0, 3)]), []),
            ("padding_left", ids(3, 7, 6), mask(3, 7, [(0, 7), (2, 7), (6, 7)]), []),
            ("nothing_kept", ids(3, 4, 3), mask(3, 4, [(0, 4), (0, 0), (1, 3)]), [1])]


def pictures(batch, config, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, config.num_channels, config.image_size, config.image_size), generator=generator)


def run(model, outputs, inputs):
    with torch.no_grad():
        answer = model(**inputs)
    return {key: answer[key] for key in outputs}


def text_cases(model, outputs, end, seed):
    cases = []
    for name, ids, mask, open_rows in texts(end, seed):
        inputs = {"input_ids": ids, "attention_mask": mask}
        cases.append((name, inputs, run(model, outputs, inputs), open_rows))
    return cases


def picture_cases(model, outputs, config, seed):
    cases = []
    for batch in (1, 3):
        inputs = {"pixel_values": pictures(batch, config, seed + batch)}
        cases.append((f"batch{batch}", inputs, run(model, outputs, inputs), []))
    return cases


def folder_of(name, model, config, dtype=None, prefix=""):
    """`prefix`: as the hub's files of one side have it, which hold the numbers of the places too."""
    if dtype is not None:
        model.to(dtype).float()
    folder = start_case(name)
    config.update(architectures=[type(model).__name__], model_type=model.config.model_type)
    config.pop("transformers_version", None)
    write_config(folder, config)
    state = {prefix + key: value for key, value in hub_tensors(model).items()}
    if prefix:
        state[prefix + "embeddings.position_ids"] = torch.arange(12)[None]
    write_tensors(folder / "model.safetensors", {key: value.to(dtype) if dtype and value.is_floating_point() else value
                                                 for key, value in state.items()})
    return folder


def joint(name, seed, text, vision, end, config_of, dtype=None, **changes):
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config={**TEXT, **text, "eos_token_id": end},
                                                           vision_config={**VISION, **vision}, attn_implementation="eager",
                                                           **{"projection_dim": 10, **changes}))
    randomise(model, seed)
    folder = folder_of(name, model, config_of(model.config), dtype)
    outputs = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
    cases = []
    for number, (case, ids, mask, open_rows) in enumerate(texts(end, seed)):
        if open_rows:  # its row shows in every picture's scores
            continue
        batch = 1 + number % 2
        inputs = {"input_ids": ids, "attention_mask": mask, "pixel_values": pictures(batch, model.config.vision_config, seed + number)}
        cases.append((f"{case}_pictures{batch}", inputs, run(model, outputs, inputs), []))
    write_golden(folder, cases)
    return folder, model


def sides(folder, model, end, seed):
    """The same checkpoint asked for one of its sides."""
    def text_side(**inputs):
        answer = model.get_text_features(**inputs)
        return {"text_embeds": answer.pooler_output, "last_hidden_state": answer.last_hidden_state}

    def image_side(**inputs):
        answer = model.get_image_features(**inputs)
        return {"image_embeds": answer.pooler_output, "last_hidden_state": answer.last_hidden_state}

    write_golden(folder, text_cases(text_side, ["text_embeds", "last_hidden_state"], end, seed), "text-feature-extraction")
    write_golden(folder, picture_cases(image_side, ["image_embeds", "last_hidden_state"], model.config.vision_config, seed),
                 "image-feature-extraction")


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    plain = lambda config: config.to_dict()

    def oldest(config):  # what counts is in the _dict form, and leaves out what is the default
        full = config.to_dict()
        part = lambda key, defaults: {k: v for k, v in full[key].items() if v != defaults.get(k)}
        return {"projection_dim": full["projection_dim"], "logit_scale_init_value": 2.6592,
                "text_config": {"hidden_size": 7}, "vision_config": {"hidden_size": 7},
                "text_config_dict": part("text_config", transformers.CLIPTextConfig().to_dict()),
                "vision_config_dict": part("vision_config", transformers.CLIPVisionConfig().to_dict())}

    folder, model = joint("clip-joint", 701, {}, {}, 49, plain)
    sides(folder, model, 49, 701)
    joint("clip-joint-old-end", 702, {"hidden_act": "gelu", "num_attention_heads": 1}, {"hidden_act": "gelu", "patch_size": 3, "num_channels": 1},
          2, oldest, dtype=torch.float16)

    text = transformers.CLIPTextConfig(**TEXT, attn_implementation="eager")
    model = randomise(transformers.CLIPTextModel(text), 703)
    write_golden(folder_of("clip-text", model, plain(model.config), prefix="text_model."), text_cases(model, ["last_hidden_state", "pooler_output"], 49, 703))
    model = randomise(transformers.CLIPTextModelWithProjection(text), 704)
    write_golden(folder_of("clip-text-projection", model, plain(model.config)),
                 text_cases(model, ["text_embeds", "last_hidden_state"], 49, 704))
    vision = transformers.CLIPVisionConfig(**{**VISION, "image_size": 8}, layer_norm_eps=1e-3, attn_implementation="eager")
    model = randomise(transformers.CLIPVisionModel(vision), 705)
    write_golden(folder_of("clip-vision", model, plain(model.config)),
                 picture_cases(model, ["last_hidden_state", "pooler_output"], vision, 705))
    model = randomise(transformers.CLIPVisionModelWithProjection(vision), 706)
    write_golden(folder_of("clip-vision-projection", model, plain(model.config)),
                 picture_cases(model, ["image_embeds", "last_hidden_state"], vision, 706))
    model = transformers.CLIPForImageClassification(transformers.CLIPConfig(
        text_config=TEXT, vision_config=VISION, num_labels=4, attn_implementation="eager"))
    randomise(model, 707)
    write_golden(folder_of("clip-cls", model, plain(model.config)), picture_cases(model, ["logits"], model.config.vision_config, 707))


if __name__ == "__main__":
    main()
