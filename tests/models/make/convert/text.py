# SPDX-License-Identifier: Apache-2.0
"""Writes the text encoders of tests/models/convert: every architecture and head, tiny, with PyTorch's answers.

The folders differ on purpose in what checkpoints differ in: prefix or none, tied decoder in the file or not, defaults left out
of config.json or written out, odd head counts, other activations, other padding ids, f16 and bf16 weights.
"""
import json
import sys

import torch
import transformers

from common import OUT, randomise, start_case, write_config, write_golden, write_tensors

VOCABULARY = 30


def rows(length, pad, seed, count=1):
    """Random ids that are not padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY - 1, (count, length), generator=generator)
    return torch.where(ids >= pad, ids + 1, ids)


def text_inputs(pad, types, longest):
    """(name, {input: tensor}, rows that are open): batches 1 and 3, both paddings, padding ids inside, length 1, a masked row."""
    def case(name, ids, mask=None, open_rows=()):
        mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if types:
            generator = torch.Generator().manual_seed(ids.shape[1])
            inputs["token_type_ids"] = torch.randint(0, types, ids.shape, generator=generator)
        return name, inputs, list(open_rows)

    right, left, inside = rows(7, pad, 1, 3), rows(7, pad, 2, 3), rows(5, pad, 3, 2)
    right[1, 4:], right[2, 6:] = pad, pad
    left[1, :3], left[2, :1] = pad, pad
    inside[0, 2], inside[1, 1], inside[1, 4] = pad, pad, pad
    return [
        case("right_padding", right, [[1] * 7, [1] * 4 + [0] * 3, [1] * 6 + [0]]),
        case("left_padding", left, [[1] * 7, [0] * 3 + [1] * 4, [0] + [1] * 6]),
        case("padding_ids_inside", inside),
        case("length_one", rows(1, pad, 4)),
        case("masked_row", rows(3, pad, 5, 2), [[1, 0, 1], [0, 0, 0]], [1]),
        case("longest", rows(longest, pad, 6)),
    ]


def choice_inputs(pad, types, longest):
    """The same with an axis of choices behind the batch."""
    cases = text_inputs(pad, types, longest)
    stacked = [(name, {key: value.unsqueeze(0) for key, value in given.items()}, [0] * bool(open_rows))
               for name, given, open_rows in cases]
    name, given, _ = cases[0]
    second = {key: value.flip(0) for key, value in given.items()}
    return stacked + [("batch_of_two", {key: torch.stack([given[key], second[key]]) for key in given}, [])]


def answers(model, inputs, outputs, pad, types, longest, forward=None):
    cases = []
    make = choice_inputs if type(model).__name__.endswith("ForMultipleChoice") else text_inputs
    for name, given, open_rows in make(pad, types, longest):
        with torch.no_grad():
            answer = forward(given) if forward else model(**given)
        cases.append((name, given, {key.replace("prediction_logits", "logits").replace("seq_relationship_logits", "logits"): answer[key] for key in outputs}, open_rows))
    return cases


OUTPUTS = {"MaskedLM": ["logits"], "SequenceClassification": ["logits"], "TokenClassification": ["logits"],
           "MultipleChoice": ["logits"], "NextSentencePrediction": ["logits"], "QuestionAnswering": ["start_logits", "end_logits"], "QuestionAnsweringSimple": ["start_logits", "end_logits"]}


def outputs_of(model):
    name = type(model).__name__
    for head, outputs in OUTPUTS.items():
        if name.endswith(head):
            return outputs
    if name == "ElectraForPreTraining":
        return ["logits"]
    if name.endswith("ForPreTraining"):
        return ["prediction_logits"]
    return ["last_hidden_state", "pooler_output"] if getattr(model, "pooler", None) is not None else ["last_hidden_state"]


def text_case(name, model, seed, pad, types=0, longest=11, keep=lambda key: True, rename=lambda key: key, full_config=False,
              dtype=None, also=None, forward=None, outputs=None):
    """One folder. `keep`, `rename`: what of the state dict the file has, and how it is called there. `also`: (task, model). `forward`,
    `outputs`: what is asked of the model when that is not its own answer."""
    randomise(model, seed)
    if dtype is not None:
        model.to(dtype).float()
    folder = start_case(name)
    config, defaults = model.config.to_dict(), type(model.config)().to_dict()
    if not full_config:  # as old files: what equals the default is left out
        config = {key: value for key, value in config.items() if value != defaults.get(key)}
    config.update(architectures=[type(model).__name__], model_type=model.config.model_type)
    config.pop("transformers_version", None)
    write_config(folder, config)
    state = {rename(key): value.to(dtype) if dtype and value.is_floating_point() else value
             for key, value in model.state_dict().items() if keep(key)}
    write_tensors(folder / "model.safetensors", state)
    write_golden(folder, answers(model, folder, outputs or outputs_of(model), pad, types, longest, forward and forward(model)))
    if also:
        task, part, outputs = also
        write_golden(folder, answers(part, folder, outputs, pad, types, longest), task)


def without(*parts):
    return lambda key: not any(part in key for part in parts)


def sizes(**changes):
    return {**dict(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
                   max_position_embeddings=16, attn_implementation="eager", pad_token_id=1), **changes}


def roberta():
    tied = ("lm_head.decoder.weight", "lm_head.decoder.bias")
    config = lambda **changes: transformers.RobertaConfig(**sizes(type_vocab_size=1, layer_norm_eps=1e-5, **changes))
    text_case("roberta-base-bare", transformers.RobertaModel(config(hidden_size=15, num_attention_heads=3)), 101, 1)
    model = transformers.RobertaForMaskedLM(config())
    text_case("roberta-mlm", model, 102, 1, keep=without(*tied),
              also=("feature-extraction", model.roberta, ["last_hidden_state"]))
    text_case("roberta-cls", transformers.RobertaForSequenceClassification(config(num_labels=3, hidden_act="relu")), 103, 1,
              full_config=True)
    text_case("roberta-tokens", transformers.RobertaForTokenClassification(config(num_labels=5)), 104, 1, dtype=torch.float16)
    text_case("roberta-qa", transformers.RobertaForQuestionAnswering(config()), 105, 1)
    config = lambda **changes: transformers.XLMRobertaConfig(**sizes(layer_norm_eps=1e-5, **changes))
    text_case("xlm-roberta-mlm-own-decoder", transformers.XLMRobertaForMaskedLM(config(tie_word_embeddings=False)), 106, 1)
    text_case("xlm-roberta-cls", transformers.XLMRobertaForSequenceClassification(
        config(num_labels=1, hidden_act="gelu_new", pad_token_id=0)), 107, 0)
    config = lambda **changes: transformers.CamembertConfig(**sizes(**changes))
    text_case("camembert-base", transformers.CamembertModel(config(num_hidden_layers=1)), 108, 1,
              rename=lambda key: "roberta." + key, dtype=torch.bfloat16)
    text_case("camembert-mlm-pad3", transformers.CamembertForMaskedLM(config(pad_token_id=3, max_position_embeddings=17)), 109, 3)


def distilbert():
    config = lambda **changes: transformers.DistilBertConfig(**{**dict(
        vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=16,
        attn_implementation="eager", pad_token_id=0), **changes})
    text_case("distilbert-base", transformers.DistilBertModel(config(dim=15, n_heads=5)), 201, 0)
    model = transformers.DistilBertForMaskedLM(config())
    text_case("distilbert-mlm", model, 202, 0, keep=without("vocab_projector.weight"),
              also=("feature-extraction", model.distilbert, ["last_hidden_state"]))
    text_case("distilbert-mlm-untied", transformers.DistilBertForMaskedLM(
        config(tie_word_embeddings=False, activation="relu")), 203, 0)
    text_case("distilbert-cls", transformers.DistilBertForSequenceClassification(config(num_labels=2)), 204, 0,
              full_config=True)
    text_case("distilbert-tokens", transformers.DistilBertForTokenClassification(config(num_labels=4)), 205, 0)
    text_case("distilbert-qa", transformers.DistilBertForQuestionAnswering(config()), 206, 0, dtype=torch.float16)


def mpnet():
    config = lambda **changes: transformers.MPNetConfig(**sizes(layer_norm_eps=1e-5, **changes))
    # Long enough for every bucket of the distances.
    text_case("mpnet-base-long", transformers.MPNetModel(config(
        hidden_size=15, num_attention_heads=3, max_position_embeddings=144)), 301, 1, longest=140)
    model = transformers.MPNetForMaskedLM(config())
    text_case("mpnet-mlm", model, 302, 1, keep=without("lm_head.decoder"),
              also=("feature-extraction", model.mpnet, ["last_hidden_state"]))
    text_case("mpnet-cls", transformers.MPNetForSequenceClassification(config(num_labels=3, hidden_act="gelu_new")), 303, 1,
              full_config=True)
    text_case("mpnet-tokens", transformers.MPNetForTokenClassification(config(num_labels=4)), 304, 1, dtype=torch.bfloat16)
    text_case("mpnet-qa", transformers.MPNetForQuestionAnswering(config()), 305, 1)


def albert():
    config = lambda **changes: transformers.AlbertConfig(**sizes(
        **{**dict(embedding_size=10, type_vocab_size=2, pad_token_id=0), **changes}))
    text_case("albert-base-groups", transformers.AlbertModel(config(
        hidden_size=15, num_attention_heads=3, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2)), 401, 0, types=2)
    model = transformers.AlbertForMaskedLM(config())
    text_case("albert-mlm", model, 402, 0, types=2, keep=without("predictions.decoder"),
              also=("feature-extraction", model.albert, ["last_hidden_state"]))
    text_case("albert-pretraining", transformers.AlbertForPreTraining(config(hidden_act="gelu")), 403, 0, types=2)
    text_case("albert-cls", transformers.AlbertForSequenceClassification(config(num_labels=3, num_hidden_layers=3)), 404, 0,
              types=2, full_config=True)
    text_case("albert-tokens", transformers.AlbertForTokenClassification(config(num_labels=4)), 405, 0, types=2)
    text_case("albert-qa", transformers.AlbertForQuestionAnswering(config()), 406, 0, types=2, dtype=torch.float16)


def electra():
    config = lambda **changes: transformers.ElectraConfig(**sizes(
        **{**dict(embedding_size=10, type_vocab_size=2, pad_token_id=0), **changes}))
    text_case("electra-base", transformers.ElectraModel(config(hidden_size=15, num_attention_heads=5)), 501, 0, types=2)
    text_case("electra-base-same-width", transformers.ElectraModel(config(embedding_size=16, type_vocab_size=3)), 502, 0,
              types=3, dtype=torch.bfloat16)
    model = transformers.ElectraForMaskedLM(config(hidden_act="relu"))
    text_case("electra-mlm", model, 503, 0, types=2, keep=without("generator_lm_head.weight"),
              also=("feature-extraction", model.electra, ["last_hidden_state"]))
    text_case("electra-discriminator", transformers.ElectraForPreTraining(config(hidden_act="gelu_new")), 504, 0, types=2)
    text_case("electra-cls", transformers.ElectraForSequenceClassification(config(num_labels=3)), 505, 0, types=2,
              full_config=True)
    text_case("electra-tokens", transformers.ElectraForTokenClassification(config(num_labels=4)), 506, 0, types=2)
    text_case("electra-qa", transformers.ElectraForQuestionAnswering(config()), 507, 0, types=2)


def deberta():
    config = lambda **changes: transformers.DebertaV2Config(**sizes(**{**dict(pad_token_id=0), **changes}))
    # As v3: log buckets, shared projections, normed table, no positions in the embeddings. Longer than the last bucket.
    v3 = dict(relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
              pos_att_type="p2c|c2p", position_biased_input=False, max_position_embeddings=32)
    text_case("deberta-v3-base", transformers.DebertaV2Model(config(**{**v3, "hidden_size": 15, "num_attention_heads": 3})), 701,
              0, longest=45)
    model = transformers.DebertaV2ForMaskedLM(config(**v3))
    text_case("deberta-v3-mlm", model, 702, 0, keep=without("cls.predictions.decoder"),
              also=("feature-extraction", model.deberta, ["last_hidden_state"]))
    text_case("deberta-v3-mlm-new-head", transformers.DebertaV2ForMaskedLM(config(**v3, legacy=False)), 703, 0)
    text_case("deberta-v3-cls", transformers.DebertaV2ForSequenceClassification(config(**v3, num_labels=3)), 704, 0,
              full_config=True)
    # As v2-xlarge: a convolution; narrow embeddings, token types, positions everywhere, projections of their own.
    text_case("deberta-v2-tokens-conv", transformers.DebertaV2ForTokenClassification(config(
        relative_attention=True, pos_att_type=["c2p", "p2c"], conv_kernel_size=3, conv_act="gelu", conv_groups=2,
        embedding_size=10, type_vocab_size=2, num_labels=4, max_relative_positions=5)), 705, 0, types=2)
    text_case("deberta-v2-qa", transformers.DebertaV2ForQuestionAnswering(config(
        relative_attention=True, pos_att_type=["c2p"], position_buckets=6, max_relative_positions=12)), 706, 0,
        dtype=torch.float16)
    text_case("deberta-v2-absolute", transformers.DebertaV2Model(config()), 707, 0)


def deberta_v1():
    T = transformers
    config = lambda **changes: T.DebertaConfig(**sizes(**{**dict(pad_token_id=0), **changes}))
    both = dict(relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False)
    # Longer than the farthest distance.
    text_case("deberta-base", T.DebertaModel(config(**both, max_relative_positions=6, hidden_size=15, num_attention_heads=3)), 751, 0)
    model = T.DebertaForMaskedLM(config(**both))
    text_case("deberta-mlm", model, 752, 0, keep=without("cls.predictions.decoder"),
              also=("feature-extraction", model.deberta, ["last_hidden_state"]))
    text_case("deberta-cls", T.DebertaForSequenceClassification(config(**both, num_labels=3)), 753, 0, full_config=True)
    text_case("deberta-tokens", T.DebertaForTokenClassification(config(
        relative_attention=True, pos_att_type="c2p", embedding_size=10, type_vocab_size=2, num_labels=4)), 754, 0, types=2)
    text_case("deberta-qa", T.DebertaForQuestionAnswering(config(relative_attention=True, pos_att_type=["p2c"])), 755, 0,
              dtype=torch.float16)
    text_case("deberta-absolute", T.DebertaModel(config()), 756, 0)


def squeezebert():
    config = lambda **changes: transformers.SqueezeBertConfig(**sizes(**{**dict(
        embedding_size=16, type_vocab_size=2, pad_token_id=0), **changes}))
    text_case("squeezebert-base", transformers.SqueezeBertModel(config(
        hidden_size=18, embedding_size=18, intermediate_size=24, num_attention_heads=3, q_groups=2, k_groups=3, v_groups=1,
        post_attention_groups=6, intermediate_groups=3, output_groups=2)), 801, 0, types=2)
    model = transformers.SqueezeBertForMaskedLM(config())
    text_case("squeezebert-mlm", model, 802, 0, types=2, keep=without("cls.predictions.decoder"),
              also=("feature-extraction", model.transformer, ["last_hidden_state", "pooler_output"]))
    text_case("squeezebert-cls", transformers.SqueezeBertForSequenceClassification(config(num_labels=3, hidden_act="relu")), 803,
              0, types=2, full_config=True)
    text_case("squeezebert-tokens", transformers.SqueezeBertForTokenClassification(config(num_labels=4)), 804, 0, types=2,
              dtype=torch.float16)
    text_case("squeezebert-qa", transformers.SqueezeBertForQuestionAnswering(config()), 805, 0, types=2)


def xlnet():
    config = lambda **changes: transformers.XLNetConfig(**{**dict(
        vocab_size=VOCABULARY, d_model=16, n_layer=2, n_head=2, d_inner=20, pad_token_id=5, bos_token_id=1, eos_token_id=2,
        mem_len=None, use_mems_eval=False), **changes})
    text_case("xlnet-base", transformers.XLNetModel(config(d_model=18, n_head=3)), 851, 5, types=3, longest=70)
    text_case("xlnet-lm", transformers.XLNetLMHeadModel(config(clamp_len=4)), 852, 5, types=3, also=None,
              forward=lambda model: lambda given: {"last_hidden_state": model.transformer(**given).last_hidden_state},
              outputs=["last_hidden_state"])
    text_case("xlnet-cls", transformers.XLNetForSequenceClassification(config(num_labels=3)), 853, 5, types=2, full_config=True)
    text_case("xlnet-cls-mean", transformers.XLNetForSequenceClassification(config(
        num_labels=2, summary_type="mean", summary_use_proj=False, ff_activation="relu", summary_activation="gelu")), 854, 5,
        types=2, dtype=torch.bfloat16)
    text_case("xlnet-tokens", transformers.XLNetForTokenClassification(config(num_labels=4)), 855, 5, types=2)
    text_case("xlnet-qa", transformers.XLNetForQuestionAnsweringSimple(config()), 856, 5, types=2, keep=without("mask_emb"))


def sentence_case(name, model, seed, pad, types, pooling, normalise):
    """A sentence-transformers repository over the encoder; its own modules give the answers."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    modules = [Pooling(model.config.hidden_size, pooling_mode=pooling)] + ([Normalize()] if normalise else [])

    def forward(given):
        hidden = model(**given).last_hidden_state
        features = {"token_embeddings": hidden, "attention_mask": given["attention_mask"]}
        for module in modules:
            features = module(features)
        # A row without tokens has no maximum; its numbers are open.
        return {"token_embeddings": hidden, "sentence_embedding": torch.nan_to_num(features["sentence_embedding"], neginf=0)}

    text_case(name, model, seed, pad, types=types)
    folder = OUT / name
    write_golden(folder, answers(model, folder, ["token_embeddings", "sentence_embedding"], pad, types, 11, forward))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(
        {"word_embedding_dimension": model.config.hidden_size, f"pooling_mode_{pooling}_token{'s' * (pooling != 'cls')}": True})
        + "\n")
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalise
    (folder / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
         for i, kind in enumerate(kinds)], indent=1) + "\n")


def sentences():
    sentence_case("mpnet-sentence", transformers.MPNetModel(transformers.MPNetConfig(**sizes())), 601, 1, 0, "mean", True)
    sentence_case("xlm-roberta-sentence", transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**sizes())), 602, 1, 0,
                  "cls", True)
    sentence_case("distilbert-sentence", transformers.DistilBertModel(transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=16,
        attn_implementation="eager")), 603, 0, 0, "max", False)
    sentence_case("albert-sentence", transformers.AlbertModel(transformers.AlbertConfig(**sizes(
        embedding_size=10, pad_token_id=0))), 604, 0, 2, "mean", False)


def choices():
    """Multiple choice in every family, and BERT's next-sentence prediction."""
    T = transformers
    config = lambda **changes: T.BertConfig(**sizes(**{**dict(pad_token_id=0), **changes}))
    text_case("bert-choices", T.BertForMultipleChoice(config()), 901, 0, types=2)
    text_case("bert-next-sentence", T.BertForNextSentencePrediction(config(hidden_act="relu")), 902, 0, types=2)
    model = T.BertForPreTraining(config())
    text_case("bert-pretraining", model, 903, 0, types=2, keep=without("cls.predictions.decoder"))
    folder = OUT / "bert-pretraining"
    write_golden(folder, answers(model, folder, ["seq_relationship_logits"], 0, 2, 11), "next-sentence-prediction")
    text_case("roberta-choices", T.RobertaForMultipleChoice(T.RobertaConfig(**sizes(type_vocab_size=1))), 904, 1)
    text_case("xlm-roberta-choices", T.XLMRobertaForMultipleChoice(T.XLMRobertaConfig(**sizes())), 905, 1, dtype=torch.float16)
    text_case("camembert-choices", T.CamembertForMultipleChoice(T.CamembertConfig(**sizes())), 906, 1)
    text_case("distilbert-choices", T.DistilBertForMultipleChoice(T.DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=1, n_heads=2, hidden_dim=20, max_position_embeddings=16,
        attn_implementation="eager", pad_token_id=0)), 907, 0)
    text_case("mpnet-choices", T.MPNetForMultipleChoice(T.MPNetConfig(**sizes())), 908, 1)
    text_case("albert-choices", T.AlbertForMultipleChoice(T.AlbertConfig(**sizes(embedding_size=10, pad_token_id=0))), 909, 0,
              types=2)
    electra = lambda **changes: T.ElectraConfig(**sizes(embedding_size=10, pad_token_id=0, **changes))
    text_case("electra-choices", T.ElectraForMultipleChoice(electra()), 910, 0, types=2)
    text_case("electra-choices-mean", T.ElectraForMultipleChoice(electra(
        summary_type="mean", summary_use_proj=False, summary_activation="tanh")), 911, 0, types=2)
    text_case("deberta-v3-choices", T.DebertaV2ForMultipleChoice(T.DebertaV2Config(**sizes(
        pad_token_id=0, relative_attention=True, position_buckets=8, share_att_key=True, pos_att_type="p2c|c2p",
        position_biased_input=False))), 912, 0)
    text_case("squeezebert-choices", T.SqueezeBertForMultipleChoice(T.SqueezeBertConfig(**sizes(
        embedding_size=16, pad_token_id=0))), 913, 0, types=2)
    text_case("xlnet-choices", T.XLNetForMultipleChoice(T.XLNetConfig(
        vocab_size=VOCABULARY, d_model=16, n_layer=1, n_head=2, d_inner=20, pad_token_id=5, mem_len=None)), 914, 5, types=2)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (roberta, distilbert, mpnet, albert, electra, deberta, deberta_v1, squeezebert, xlnet, sentences, choices):
        if len(sys.argv) < 2 or family.__name__ in sys.argv[1:]:
            family()


if __name__ == "__main__":
    main()
