# SPDX-License-Identifier: Apache-2.0
"""Looks for conversions that are silently wrong: checkpoints whose config differs from the well-known ones in every field, converted by
`axon`, run in ONNX Runtime and compared with PyTorch. Writes nothing into the tree; no part of the tests.

    PYTHON tests/models/make/convert/sweep.py --axon build/release/bin/axon [FAMILY...] [--every] [--random 8] [--seed 1] [--refusals]

PYTHON is that of `./dev fixtures`. Every class of a family is tried as its base config says, in every form that files have (F16 and BF16
weights, keys left out, names as old files have them, torch.save), and with --random combinations of changes; each change alone is tried
with one class of the family, the classes taking turns, or with --every with all of them.
What PyTorch answers is asked of `from_pretrained`, so that the file itself is what both read. A case ends as

    right      every output within 2e-5 of the largest value
    unsteady   further off, but no more than 10 times as far from what PyTorch answers in float64 as PyTorch itself in float32
    refused    with a message; --refusals lists each with how often it was met
    no model   transformers cannot make or run it either
    WRONG      another number, other inputs or outputs, or a graph that does not run: the exit status is 1
"""
import argparse
import collections
import json
import logging
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy
import onnxruntime
import torch
import transformers
from safetensors.torch import load_file, save_file

import audio
import detection
import generative
import image_text
import text
import vision
from common import randomise

TOLERANCE = 2e-5
T = transformers


class Family:
    """`classes`: {class name: golden(model) -> cases}; `base`: sizes of the config; `fields`: changes, each a dict."""

    def __init__(self, config, base, fields, classes, spread=1.2):
        self.config, self.base, self.fields, self.classes, self.spread = config, base, fields, classes, spread


def each(key, *values):
    return [{key: value} for value in values]


ACTIVATIONS = ("relu", "gelu_new", "quick_gelu", "silu", "tanh", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_10", "mish", "swish",
               "linear", "sigmoid", "relu6", "leaky_relu", "relu2", "laplace", "gelu_accurate", "gelu_python_tanh")
# What every config may say and no graph may take note of, or must.
EVERYWHERE = (each("output_hidden_states", True) + each("output_attentions", True) + each("return_dict", False) +
              each("chunk_size_feed_forward", 2) + each("problem_type", "regression", "single_label_classification", "multi_label_classification") +
              each("num_labels", 1, 7))

# Text encoders.


def text_golden(family):
    def golden(model):
        config = model.config
        types = 3 if family == "xlnet" else config.type_vocab_size if family in TYPED else 0
        longest = 24 if family == "xlnet" else min(config.max_position_embeddings, 24)
        if family in ("roberta", "xlm-roberta", "camembert", "mpnet"):
            longest -= (1 if family == "mpnet" else config.pad_token_id or 0) + 1
        pad = config.pad_token_id if config.pad_token_id is not None else 0
        return text.answers(model, None, text.outputs_of(model), pad, types, longest)
    return golden


TYPED = ("bert", "albert", "electra", "squeezebert", "deberta", "deberta-v2")
BERT_FIELDS = (
    [dict(hidden_size=15, num_attention_heads=3), dict(hidden_size=21, num_attention_heads=7), dict(hidden_size=18, num_attention_heads=4)] +
    each("num_attention_heads", 1, 16) + each("intermediate_size", 7) + each("num_hidden_layers", 1, 3, 0) +
    each("hidden_act", *ACTIVATIONS) + each("max_position_embeddings", 40) + each("type_vocab_size", 1, 0, 3) +
    each("layer_norm_eps", 1e-3, 0.1, 1e-7) + each("pad_token_id", 0, 1, 3, None) + each("vocab_size", 37) +
    each("position_embedding_type", "relative_key", "relative_key_query") + each("tie_word_embeddings", False) + each("is_decoder", True) +
    each("add_cross_attention", True) + each("classifier_dropout", 0.3) + each("hidden_dropout_prob", 0.5) + each("head_dim", 5) +
    each("use_cache", False) + list(EVERYWHERE))
HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")


def encoder(config, stem, family, base=None, fields=(), heads=HEADS, drop=()):
    sizes = {key: value for key, value in text.sizes(**(base or {})).items() if key not in drop}
    del sizes["attn_implementation"]
    keep = [change for change in BERT_FIELDS if not set(change) & set(drop)]
    return Family(config, sizes, keep + list(fields), {stem + head: text_golden(family) for head in heads})


NARROW = each("embedding_size", 16, 5, 128)
RELATIVE = (
    each("relative_attention", True) +
    [dict(relative_attention=True, pos_att_type=kinds, **more) for kinds in (["c2p"], ["p2c"], ["c2p", "p2c"], "c2p|p2c", "p2c", [], None)
     for more in ({}, {"position_biased_input": False}, {"max_relative_positions": 5})] +
    each("position_biased_input", False) + each("embedding_size", 10, 20) + each("max_relative_positions", 7) +
    each("pooler_hidden_size", 16, 11) + each("pooler_hidden_act", "relu", "gelu_new", "tanh") + each("pooler_dropout", 0.2) +
    each("legacy", False) + each("relative_attention", False))
DEBERTA_V2 = [dict(relative_attention=True, pos_att_type=["c2p", "p2c"], **more) for more in (
    dict(position_buckets=8), dict(position_buckets=7), dict(position_buckets=2), dict(position_buckets=32), dict(position_buckets=256),
    dict(share_att_key=True), dict(norm_rel_ebd="layer_norm"), dict(norm_rel_ebd="none"), dict(norm_rel_ebd="layer_norm|other"),
    dict(position_buckets=8, share_att_key=True, norm_rel_ebd="layer_norm", max_relative_positions=12),
    dict(conv_kernel_size=3), dict(conv_kernel_size=5, conv_act="gelu"), dict(conv_kernel_size=3, conv_act="relu", conv_groups=2),
    dict(conv_kernel_size=4), dict(attention_head_size=8), dict(attention_head_size=5), dict(talking_head=True))]
GROUPS = [{name: count} for name in ("q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups")
          for count in (1, 2, 4, 3)]
SUMMARY = (each("summary_type", "last", "first", "mean", "cls_index", "attn") + each("summary_use_proj", False) +
           each("summary_activation", "tanh", "gelu", "relu", None) + each("summary_proj_to_labels", False) + each("summary_last_dropout", 0.3))

FAMILIES = {
    "bert": encoder(T.BertConfig, "Bert", "bert", dict(pad_token_id=0), heads=HEADS + ("ForNextSentencePrediction",)),
    "roberta": encoder(T.RobertaConfig, "Roberta", "roberta"),
    "xlm-roberta": encoder(T.XLMRobertaConfig, "XLMRoberta", "xlm-roberta"),
    "camembert": encoder(T.CamembertConfig, "Camembert", "camembert"),
    "electra": encoder(T.ElectraConfig, "Electra", "electra", dict(embedding_size=10, pad_token_id=0), NARROW + SUMMARY,
                       HEADS + ("ForPreTraining",)),
    "albert": encoder(T.AlbertConfig, "Albert", "albert", dict(embedding_size=10, pad_token_id=0), NARROW + [
        dict(num_hidden_layers=4, num_hidden_groups=2), dict(num_hidden_layers=5, num_hidden_groups=3), dict(inner_group_num=2),
        dict(num_hidden_layers=7, num_hidden_groups=7), dict(classifier_dropout_prob=0.5), dict(down_scale_factor=2), dict(net_structure_type=1),
        dict(gap_size=1), dict(num_memory_blocks=2)]),
    "mpnet": encoder(T.MPNetConfig, "MPNet", "mpnet", fields=each("relative_attention_num_buckets", 16, 32, 40, 64)),
    "deberta": encoder(T.DebertaConfig, "Deberta", "deberta", dict(pad_token_id=0), RELATIVE + [
        dict(relative_attention=True, pos_att_type=["c2p", "p2c"], talking_head=True)], HEADS[:-1]),
    "deberta-v2": encoder(T.DebertaV2Config, "DebertaV2", "deberta-v2", dict(pad_token_id=0), RELATIVE + DEBERTA_V2),
    "squeezebert": encoder(T.SqueezeBertConfig, "SqueezeBert", "squeezebert", dict(embedding_size=16, pad_token_id=0), GROUPS + NARROW),
    "distilbert": Family(
        T.DistilBertConfig,
        dict(vocab_size=text.VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=16, pad_token_id=0),
        [dict(dim=15, n_heads=3), dict(dim=18, n_heads=4)] + each("n_heads", 1, 16) + each("hidden_dim", 7) + each("n_layers", 1, 3) +
        each("activation", *ACTIVATIONS) + each("sinusoidal_pos_embds", True) + each("pad_token_id", 1, None) +
        each("tie_word_embeddings", False) + each("layer_norm_eps", 0.1) + each("type_vocab_size", 2) + each("hidden_act", "relu") +
        each("qa_dropout", 0.5) + each("seq_classif_dropout", 0.5) + each("vocab_size", 37) + each("max_position_embeddings", 40) +
        list(EVERYWHERE), {"DistilBert" + head: text_golden("distilbert") for head in HEADS}),
    "xlnet": Family(
        T.XLNetConfig, dict(vocab_size=text.VOCABULARY, d_model=16, n_layer=2, n_head=2, d_inner=20, pad_token_id=5, bos_token_id=1,
                            eos_token_id=2, mem_len=None, use_mems_eval=False),
        [dict(d_model=18, n_head=3)] + each("n_head", 1, 16) + each("d_inner", 7) + each("n_layer", 1, 3) + each("ff_activation", *ACTIVATIONS) +
        each("attn_type", "uni", "bi") + each("bi_data", True) + each("clamp_len", 3, 100) + each("same_length", True) +
        each("untie_r", False) + each("layer_norm_eps", 0.1, 1e-5) + each("mem_len", 4) + each("use_mems_eval", True) + each("reuse_len", 2) +
        each("tie_word_embeddings", False) + each("use_mems_train", True) + SUMMARY + list(EVERYWHERE),
        {"XLNet" + head: text_golden("xlnet") for head in ("Model", "ForSequenceClassification", "ForTokenClassification",
                                                           "ForQuestionAnsweringSimple", "ForMultipleChoice")}),
}

# Generative models.

GPT2 = dict(vocab_size=text.VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=1)


def plain_gpt2(*outputs):
    def golden(model):
        pad = getattr(model.config, "pad_token_id", None)
        classifies = type(model).__name__.endswith("SequenceClassification")
        return generative.gpt2_plain(model, list(outputs), pad, 1 if classifies and pad is None else None)
    return golden


FAMILIES["gpt2"] = Family(
    T.GPT2Config, GPT2,
    [dict(n_embd=15, n_head=3), dict(n_embd=18, n_head=4)] + each("n_head", 1, 16) + each("n_layer", 1, 3) + each("n_inner", 7, None) +
    each("activation_function", *ACTIVATIONS) + each("layer_norm_epsilon", 0.1, 1e-7) + each("scale_attn_weights", False) +
    each("scale_attn_by_inverse_layer_idx", True) + each("reorder_and_upcast_attn", True) + each("tie_word_embeddings", False) +
    each("pad_token_id", 2, 0) + each("add_cross_attention", True) + each("n_ctx", 8) + each("vocab_size", 37) + each("resid_pdrop", 0.5) +
    each("summary_type", "mean") + list(EVERYWHERE),
    {"GPT2LMHeadModel": lambda model: generative.gpt2_cached(model, generative.FEW), "GPT2Model": plain_gpt2("last_hidden_state"),
     "GPT2ForSequenceClassification": plain_gpt2("logits"), "GPT2ForTokenClassification": plain_gpt2("logits"),
     "GPT2ForQuestionAnswering": plain_gpt2("start_logits", "end_logits")})


def seq2seq(pad):
    return lambda model: generative.seq2seq_cases(model, pad, generative.FEW)


def joint(pad, *outputs, ends=False):
    def golden(model):
        part = model.get_encoder() if type(model).__name__.endswith("EncoderModel") else model
        end = model.config.eos_token_id if ends else None
        return generative.joint_cases(part, list(outputs), pad, end)
    return golden


T5_CLASSES = lambda stem: {
    stem + "ForConditionalGeneration": seq2seq(0), stem + "EncoderModel": joint(0, "last_hidden_state"),
    stem + "ForSequenceClassification": joint(0, "logits", ends=True), stem + "ForTokenClassification": joint(0, "logits"),
    stem + "ForQuestionAnswering": joint(0, "start_logits", "end_logits")}
T5 = dict(vocab_size=text.VOCABULARY, d_model=16, d_kv=6, d_ff=20, num_layers=2, num_heads=3, relative_attention_num_buckets=8,
          relative_attention_max_distance=12, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
T5_FIELDS = (
    [dict(d_model=15, num_heads=5, d_kv=3), dict(num_heads=1, d_kv=7), dict(d_kv=8, num_heads=2)] + each("d_ff", 7) + each("num_layers", 1, 3) +
    each("num_decoder_layers", 1, 3) + each("feed_forward_proj", "relu", "gated-gelu", "gated-silu", "gelu", "silu", "gated-relu", "gelu_new",
                                             "gated-gelu_new", "tanh", "gated-tanh", "gated-swish", "linear", "gated-linear") +
    [dict(relative_attention_num_buckets=b, relative_attention_max_distance=d) for b, d in ((32, 128), (4, 3), (7, 20), (2, 2), (6, 100))] +
    each("layer_norm_epsilon", 0.1, 1e-3) + each("tie_word_embeddings", False, True) + each("scale_decoder_outputs", True, False) +
    each("decoder_start_token_id", 2) + each("pad_token_id", 0) + each("eos_token_id", 4) + each("vocab_size", 37) +
    each("dropout_rate", 0.5) + each("is_decoder", True) + each("classifier_dropout", 0.5) + each("use_cache", False) + list(EVERYWHERE))
FAMILIES["t5"] = Family(T.T5Config, T5, T5_FIELDS, T5_CLASSES("T5"))
FAMILIES["mt5"] = Family(T.MT5Config, T5, T5_FIELDS, T5_CLASSES("MT5"))

BART = dict(vocab_size=text.VOCABULARY, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=20, decoder_ffn_dim=20, max_position_embeddings=16)
BART_FIELDS = (
    [dict(d_model=15, encoder_attention_heads=3, decoder_attention_heads=5)] + each("encoder_attention_heads", 1, 16) +
    each("decoder_attention_heads", 1, 16) + each("encoder_ffn_dim", 7) + each("decoder_ffn_dim", 9) + each("encoder_layers", 1, 3) +
    each("decoder_layers", 1, 3) + each("activation_function", *ACTIVATIONS) + each("scale_embedding", True) +
    each("tie_word_embeddings", False) + each("max_position_embeddings", 30) + each("normalize_before", True, False) +
    each("normalize_embedding", False, True) + each("add_final_layer_norm", True, False) + each("add_bias_logits", True) +
    each("static_position_embeddings", True) + each("extra_pos_embeddings", 0, 2) + each("encoder_layerdrop", 0.3) +
    each("classifier_dropout", 0.3) + each("eos_token_id", 4) + each("decoder_start_token_id", 0) + each("pad_token_id", 3) +
    each("vocab_size", 37) + each("num_hidden_layers", 1) + each("is_decoder", True) + each("use_cache", False) + list(EVERYWHERE))


def bart_classes(stem):
    def pad(golden):
        return lambda model: golden(model.config.pad_token_id)(model)
    return {
        stem + "ForConditionalGeneration": pad(seq2seq),
        stem + "Model": pad(lambda p: joint(p, "last_hidden_state", "encoder_last_hidden_state")),
        stem + "ForSequenceClassification": pad(lambda p: joint(p, "logits", ends=True)),
        stem + "ForQuestionAnswering": pad(lambda p: joint(p, "start_logits", "end_logits"))}


FAMILIES["bart"] = Family(T.BartConfig, BART, BART_FIELDS, bart_classes("Bart"))
FAMILIES["mbart"] = Family(T.MBartConfig, BART, BART_FIELDS, bart_classes("MBart"))

# Audio.


def mel_features(model, count):
    return audio.noise(count, model.config.num_mel_bins, 2 * model.config.max_source_positions, seed=count)


def whisper_steps(model):
    cases = []
    for name, count, first in (("one", 1, 1), ("length_one", 2, 3)):
        mels = mel_features(model, count)
        with torch.no_grad():
            hidden = model.get_encoder()(mels).last_hidden_state
        cases.append((f"encoder_model@{name}", {"input_features": mels}, {"last_hidden_state": hidden}, []))
        cases += generative.decoder_steps(model, name, hidden, None, first, model.config.decoder_layers)
    return cases


def whisper_labels(model):
    cases = []
    for count in (1, 3):
        mels = mel_features(model, count)
        with torch.no_grad():
            cases.append((f"batch{count}", {"input_features": mels}, {"logits": model(mels).logits}, []))
    return cases


FAMILIES["whisper"] = Family(
    T.WhisperConfig,
    dict(vocab_size=text.VOCABULARY, d_model=16, num_mel_bins=5, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
         decoder_attention_heads=2, encoder_ffn_dim=20, decoder_ffn_dim=20, max_source_positions=9, max_target_positions=24, pad_token_id=0,
         bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None),
    [dict(d_model=20, encoder_attention_heads=5, decoder_attention_heads=1)] + each("num_mel_bins", 1, 8) + each("encoder_layers", 1, 3) +
    each("decoder_layers", 1, 3) + each("encoder_ffn_dim", 7) + each("decoder_ffn_dim", 7) + each("activation_function", *ACTIVATIONS) +
    each("scale_embedding", True) + each("max_source_positions", 4, 13) + each("max_target_positions", 40) +
    each("tie_word_embeddings", False) + each("classifier_proj_size", 3) + each("use_weighted_layer_sum", True) +
    each("apply_spec_augment", True) + each("median_filter_width", 3) + each("vocab_size", 37) + list(EVERYWHERE),
    {"WhisperForConditionalGeneration": whisper_steps, "WhisperForAudioClassification": whisper_labels})

WAVES = [
    dict(hidden_size=20, num_attention_heads=5, num_conv_pos_embedding_groups=5)] + each("num_attention_heads", 1, 16) + \
    each("num_hidden_layers", 1, 3) + each("intermediate_size", 7) + each("hidden_act", *ACTIVATIONS) + \
    each("feat_extract_activation", "relu", "gelu_new", "silu", "mish") + each("feat_extract_norm", "layer", "group") + \
    each("conv_bias", True) + each("do_stable_layer_norm", True) + each("layer_norm_eps", 0.1, 1e-3) + \
    [dict(conv_dim=[6, 5], conv_kernel=[5, 3], conv_stride=[3, 2]), dict(conv_dim=[6, 9, 4, 8], conv_kernel=[4, 3, 1, 2], conv_stride=[2, 1, 1, 2])] + \
    each("num_conv_pos_embeddings", 1, 5, 9, 128) + each("num_conv_pos_embedding_groups", 1, 2, 16) + each("vocab_size", 37) + \
    each("use_weighted_layer_sum", True) + each("classifier_proj_size", 3) + each("add_adapter", True) + each("adapter_attn_dim", 4) + \
    each("apply_spec_augment", False) + each("mask_time_prob", 0.5) + each("layerdrop", 0.5) + each("tdnn_dim", [8, 8, 8, 8, 8]) + \
    each("feat_proj_layer_norm", False) + each("conv_pos_batch_norm", True) + each("pad_token_id", 3) + list(EVERYWHERE)


def recordings(*outputs):
    return lambda model: audio.recordings(model, list(outputs))


def wave_base(*unknown):
    return {key: value for key, value in audio.sizes().items() if key not in ("attn_implementation", *unknown)}


FAMILIES["wav2vec2"] = Family(T.Wav2Vec2Config, wave_base(), WAVES, {
    "Wav2Vec2Model": recordings("last_hidden_state"), "Wav2Vec2ForCTC": recordings("logits"),
    "Wav2Vec2ForSequenceClassification": recordings("logits"), "Wav2Vec2ForAudioFrameClassification": recordings("logits")})
FAMILIES["hubert"] = Family(T.HubertConfig, wave_base("num_codevectors_per_group", "codevector_dim", "proj_codevector_dim"), WAVES, {
    "HubertModel": recordings("last_hidden_state"), "HubertForCTC": recordings("logits"),
    "HubertForSequenceClassification": recordings("logits")})

# Pictures.


def pair_of(size):
    return tuple(size) if isinstance(size, (list, tuple)) else (size, size)


def pictures(*sizes, outputs=None):
    """`sizes` for models that take any; else config.image_size. `outputs`: names, or a function of the model."""
    def golden(model):
        wanted = outputs(model) if callable(outputs) else outputs
        return vision.answers(model, list(wanted or vision.outputs_of(model)), sizes or [pair_of(model.config.image_size)])
    return golden


FREE = ((32, 32, 1), (45, 27, 3), (64, 50, 1))
POOLED = ("last_hidden_state", "pooler_output")
PATCHES = [dict(hidden_size=15, num_attention_heads=3), dict(hidden_size=21, num_attention_heads=7)] + each("num_attention_heads", 1, 16) + \
    each("intermediate_size", 7) + each("num_hidden_layers", 1, 3, 0) + each("hidden_act", *ACTIVATIONS) + \
    each("layer_norm_eps", 0.1, 1e-3, 1e-6) + each("image_size", 12, 13, 9, [8, 12], [13, 10]) + each("patch_size", 2, 3, 8) + \
    [dict(patch_size=[4, 3], image_size=[13, 10]), dict(patch_size=[2, 4])] + each("num_channels", 1, 4) + each("qkv_bias", False) + \
    [dict(encoder_stride=2, patch_size=2), dict(image_size=12, encoder_stride=3, patch_size=3)] + each("encoder_stride", 2) + each("head_dim", 5) + list(EVERYWHERE)


def transformer(**changes):
    return {key: value for key, value in vision.transformer(**changes).items() if key != "attn_implementation"}


def masked(model):
    """Masked image modelling: which patches are hidden is an input."""
    return vision.masked_answers(model, "logits" if type(model).__name__.startswith("Beit") else "reconstruction")


def segments(model):
    return vision.answers(model, ["logits"], FREE)


FAMILIES["vit"] = Family(T.ViTConfig, transformer(encoder_stride=4), PATCHES + each("pooler_output_size", 7) + each("pooler_act", "relu", "gelu", "mish"), {
    "ViTModel": pictures(), "ViTForImageClassification": pictures(), "ViTForMaskedImageModeling": masked})
FAMILIES["deit"] = Family(T.DeiTConfig, transformer(encoder_stride=4), PATCHES + each("pooler_output_size", 7) + each("pooler_act", "relu", "mish"), {
    "DeiTModel": pictures(), "DeiTForImageClassification": pictures(), "DeiTForImageClassificationWithTeacher": pictures(),
    "DeiTForMaskedImageModeling": masked})
DINO = transformer(image_size=12)
del DINO["intermediate_size"]
FAMILIES["dinov2"] = Family(
    T.Dinov2Config, DINO, [c for c in PATCHES if not set(c) & {"intermediate_size", "image_size", "encoder_stride"}] +
    each("image_size", 8, 16, 20, 13) + each("mlp_ratio", 2, 3, 0.5) + each("use_swiglu_ffn", True) + each("layerscale_value", 0.0, 2.0) +
    each("use_mask_token", False) + each("drop_path_rate", 0.5) + each("apply_layernorm", False) + each("reshape_hidden_states", False),
    {"Dinov2Model": pictures((12, 12), (23, 9), outputs=POOLED), "Dinov2ForImageClassification": pictures((16, 16), (9, 30))})
FAMILIES["beit"] = Family(
    T.BeitConfig, transformer(), PATCHES + each("use_mask_token", True) + each("use_absolute_position_embeddings", True) +
    each("use_relative_position_bias", True) + each("use_shared_relative_position_bias", True) + each("layer_scale_init_value", 0.0, 2.0) +
    each("use_mean_pooling", False) + each("vocab_size", 9) + each("drop_path_rate", 0.5) +
    [dict(use_relative_position_bias=True, image_size=[8, 12]), dict(use_relative_position_bias=True, use_shared_relative_position_bias=True)],
    {"BeitModel": pictures(outputs=POOLED), "BeitForImageClassification": pictures(), "BeitForMaskedImageModeling": masked})
FAMILIES["swin"] = Family(
    T.SwinConfig, dict(image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=3, mlp_ratio=2.0,
                       encoder_stride=8),
    [dict(embed_dim=9, num_heads=[3, 6]), dict(depths=[1, 3, 2], num_heads=[1, 2, 4]), dict(depths=[3], num_heads=[2])] +
    each("window_size", 1, 2, 4, 7, 8) + each("image_size", 16, 30, 33, [31, 18], [48, 32], 40) + each("patch_size", 2, 3, [2, 4]) +
    each("mlp_ratio", 1.5, 4.0, 1) + each("qkv_bias", False) + each("hidden_act", *ACTIVATIONS) + each("layer_norm_eps", 0.1, 1e-3) +
    each("use_absolute_embeddings", True) + each("num_channels", 1) + each("encoder_stride", 4, 16) + each("drop_path_rate", 0.5) +
    each("out_features", ["stage1"]) + list(EVERYWHERE),
    {"SwinModel": pictures(outputs=POOLED), "SwinForImageClassification": pictures(), "SwinForMaskedImageModeling": masked})
FAMILIES["levit"] = Family(
    T.LevitConfig, dict(image_size=48, hidden_sizes=[16, 24, 24], num_attention_heads=[2, 3, 4], depths=[1, 1, 1], key_dim=[4, 4, 4]),
    [dict(key_dim=[8, 5, 3]), dict(attention_ratio=[1, 2, 3]), dict(mlp_ratio=[1, 0, 2]), dict(depths=[2, 1, 3]), dict(kernel_size=5, padding=2)] +
    each("image_size", 64, 75, 97) + each("patch_size", 8, 15, 32) + each("stride", 1, 3) + each("padding", 0, 2) + each("num_channels", 1) +
    each("drop_path_rate", 0.5) + [dict(hidden_sizes=[32, 8, 16], key_dim=[16, 8, 4])] + list(EVERYWHERE),
    {"LevitModel": pictures(outputs=POOLED), "LevitForImageClassification": pictures(), "LevitForImageClassificationWithTeacher": pictures()},
    spread=0.7)
FAMILIES["segformer"] = Family(
    T.SegformerConfig,
    dict(num_encoder_blocks=2, depths=[1, 2], sr_ratios=[4, 1], hidden_sizes=[8, 12], patch_sizes=[7, 3], strides=[4, 2],
         num_attention_heads=[1, 3], mlp_ratios=[2, 3], decoder_hidden_size=10),
    [dict(sr_ratios=[3, 2]), dict(sr_ratios=[1, 1]), dict(strides=[3, 2]), dict(strides=[2, 1]), dict(patch_sizes=[5, 2]), dict(patch_sizes=[4, 3]),
     dict(num_attention_heads=[8, 1]), dict(mlp_ratios=[1, 5]), dict(depths=[2, 1]), dict(hidden_sizes=[5, 7], num_attention_heads=[5, 1]),
     dict(num_encoder_blocks=1, depths=[1], sr_ratios=[2], hidden_sizes=[8], patch_sizes=[7], strides=[4], num_attention_heads=[2],
          mlp_ratios=[2]), dict(hidden_sizes=[16, 12])] +
    each("hidden_act", *ACTIVATIONS) + each("num_channels", 1) + each("decoder_hidden_size", 3) + each("layer_norm_eps", 0.1) +
    each("reshape_last_stage", False) + each("semantic_loss_ignore_index", 3) + each("qkv_bias", False) + each("drop_path_rate", 0.5) +
    list(EVERYWHERE),
    {"SegformerModel": pictures(*FREE, outputs=["last_hidden_state"]), "SegformerForImageClassification": pictures(*FREE),
     "SegformerForSemanticSegmentation": segments})
FAMILIES["resnet"] = Family(
    T.ResNetConfig, dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 2]),
    [dict(hidden_sizes=[8, 12, 20], depths=[2, 1, 3]), dict(hidden_sizes=[16], depths=[2]), dict(hidden_sizes=[6, 6], depths=[1, 1])] +
    each("embedding_size", 8, 3) + each("layer_type", "basic", "bottleneck") + each("hidden_act", *ACTIVATIONS) +
    each("downsample_in_first_stage", True) + each("downsample_in_bottleneck", True) + each("num_channels", 1, 4) +
    [dict(layer_type="basic", downsample_in_first_stage=True), dict(layer_type="basic", embedding_size=8),
     dict(downsample_in_bottleneck=True, downsample_in_first_stage=True)] + each("out_features", ["stage1"]) + list(EVERYWHERE),
    {"ResNetModel": pictures(*FREE, outputs=POOLED), "ResNetForImageClassification": pictures(*FREE)})
FAMILIES["convnext"] = Family(
    T.ConvNextConfig, dict(hidden_sizes=[6, 10], depths=[1, 2], num_stages=2, image_size=32),
    [dict(hidden_sizes=[6, 8, 10], depths=[1, 1, 1], num_stages=3), dict(hidden_sizes=[6], depths=[2], num_stages=1)] +
    each("patch_size", 2, 3, [3, 2]) + each("hidden_act", *ACTIVATIONS) + each("layer_scale_init_value", 0.0, 1.0) +
    each("layer_norm_eps", 0.1, 1e-3) + each("num_channels", 1) + each("image_size", 21, [21, 33], None) + each("drop_path_rate", 0.5) +
    list(EVERYWHERE),
    {"ConvNextModel": lambda model: pictures(*(() if model.config.image_size else FREE), outputs=POOLED)(model),
     "ConvNextForImageClassification": lambda model: pictures(*(() if model.config.image_size else FREE))(model)})
FAMILIES["mobilenet_v2"] = Family(
    T.MobileNetV2Config, dict(depth_multiplier=0.05, expand_ratio=2.0, finegrained_output=False),
    each("depth_multiplier", 0.11, 0.2) + each("expand_ratio", 1.0, 1.5, 3.3, 6) + each("finegrained_output", True) +
    each("output_stride", 8, 16, 4, 2, 64) + each("tf_padding", False) + each("first_layer_is_expansion", False) +
    each("hidden_act", *ACTIVATIONS) + each("layer_norm_eps", 0.1, 1e-5) + each("depth_divisible_by", 4, 3) + each("min_depth", 4, 16) +
    each("num_channels", 1) + each("classifier_dropout_prob", 0.3) + [dict(tf_padding=False, output_stride=8)] + list(EVERYWHERE),
    {"MobileNetV2Model": pictures(*FREE, outputs=POOLED), "MobileNetV2ForImageClassification": pictures(*FREE),
     "MobileNetV2ForSemanticSegmentation": segments})
FAMILIES["efficientnet"] = Family(
    T.EfficientNetConfig,
    dict(width_coefficient=0.02, depth_coefficient=1.0, hidden_dim=24, in_channels=[32, 16, 24], out_channels=[16, 24, 400],
         kernel_sizes=[3, 5, 3], strides=[1, 2, 2], num_block_repeats=[1, 2, 1], expand_ratios=[1, 3, 2], image_size=32),
    each("width_coefficient", 0.03, 0.1) + each("depth_coefficient", 1.4, 2.2, 0.5) + each("depth_divisor", 4, 3, 16) +
    each("hidden_dim", 40, 7) + each("kernel_sizes", [5, 3, 7], [3, 4, 3]) + each("strides", [2, 1, 2], [1, 1, 1], [2, 2, 3]) +
    each("num_block_repeats", [2, 1, 3]) + each("expand_ratios", [2, 1, 6], [1, 1, 1]) + each("squeeze_expansion_ratio", 0.5, 0.01, 1.0) +
    each("depthwise_padding", [0], [1, 2]) + each("hidden_act", *ACTIVATIONS) + each("batch_norm_eps", 0.1, 1e-5) +
    each("pooling_type", "mean", "max") + each("num_channels", 1) + each("image_size", 64) + each("dropout_rate", 0.3) + list(EVERYWHERE),
    {"EfficientNetModel": pictures(*FREE, outputs=POOLED), "EfficientNetForImageClassification": pictures(*FREE)})
FAMILIES["regnet"] = Family(
    T.RegNetConfig, dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 2], groups_width=4),
    [dict(hidden_sizes=[6, 10, 12], depths=[2, 1, 3], groups_width=2), dict(hidden_sizes=[8], depths=[1])] + each("layer_type", "x", "y") +
    each("groups_width", 1, 2, 3, 5, 16) + each("embedding_size", 3) + each("hidden_act", *ACTIVATIONS) +
    each("downsample_in_first_stage", False) + each("num_channels", 1) + [dict(hidden_sizes=[6, 10], groups_width=1, layer_type="y")] +
    list(EVERYWHERE),
    {"RegNetModel": pictures(*FREE, outputs=POOLED), "RegNetForImageClassification": pictures(*FREE)})
FAMILIES["poolformer"] = Family(
    T.PoolFormerConfig,
    dict(hidden_sizes=[6, 10], depths=[1, 2], patch_sizes=[7, 3], strides=[4, 2], padding=[2, 1], num_encoder_blocks=2, mlp_ratio=2.0),
    [dict(patch_sizes=[4, 2], padding=[0, 0]), dict(strides=[3, 1]), dict(padding=[3, 0]), dict(depths=[2, 1]),
     dict(hidden_sizes=[6, 8, 10], depths=[1, 1, 1], patch_sizes=[7, 3, 3], strides=[4, 2, 2], padding=[2, 1, 1], num_encoder_blocks=3)] +
    each("pool_size", 1, 5, 2) + each("mlp_ratio", 1.5, 4.0) + each("use_layer_scale", False) + each("layer_scale_init_value", 1.0) +
    each("hidden_act", *ACTIVATIONS) + each("num_channels", 1) + each("stride", 8) + each("drop_path_rate", 0.5) + list(EVERYWHERE),
    {"PoolFormerModel": pictures(*FREE, outputs=["last_hidden_state"]), "PoolFormerForImageClassification": pictures(*FREE)})

# Objects, and pictures with texts.

TWO_STAGES = dict(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 1])
FOUR_STAGES = dict(embedding_size=6, hidden_sizes=[8, 8, 12, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"])


def objects(*outputs):
    return lambda model: detection.cases(model, list(outputs), [(64, 45, 1), (45, 38, 3)])


DETR_FIELDS = (
    [dict(d_model=12, encoder_attention_heads=3, decoder_attention_heads=1)] + each("num_queries", 1, 9) + each("encoder_layers", 2) +
    each("decoder_layers", 1, 3) + each("encoder_ffn_dim", 7) + each("decoder_ffn_dim", 7) + each("activation_function", *ACTIVATIONS) +
    each("position_embedding_type", "learned", "sine") + each("auxiliary_loss", True) + each("num_labels", 1, 9) + each("dilation", True) +
    each("scale_embedding", True) + each("num_channels", 3, 1) + each("output_hidden_states", True) + each("return_dict", False) +
    each("backbone_config", T.ResNetConfig(**dict(TWO_STAGES, layer_type="basic")), T.ResNetConfig(**dict(TWO_STAGES, hidden_act="silu")),
         T.ResNetConfig(**dict(TWO_STAGES, downsample_in_first_stage=True, downsample_in_bottleneck=True)),
         T.ResNetConfig(**dict(TWO_STAGES, out_features=["stage1"])), T.ResNetConfig(**FOUR_STAGES),
         T.ConvNextConfig(hidden_sizes=[6, 10], depths=[1, 1], num_stages=2)))
DETR = dict(use_timm_backbone=False, d_model=16, num_queries=5, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=4, encoder_ffn_dim=20, decoder_ffn_dim=18, num_labels=3, backbone_config=T.ResNetConfig(**TWO_STAGES))
FAMILIES["detr"] = Family(T.DetrConfig, DETR, DETR_FIELDS, {"DetrModel": objects("last_hidden_state"),
                                                           "DetrForObjectDetection": objects(*detection.BOXES)})
FAMILIES["detr-masks"] = Family(
    T.DetrConfig, {**DETR, "backbone_config": T.ResNetConfig(**FOUR_STAGES), "d_model": 32, "encoder_attention_heads": 8},
    each("d_model", 64, 16) + each("encoder_attention_heads", 4, 16) + each("num_queries", 1, 9) + each("activation_function", "gelu") +
    each("position_embedding_type", "learned"), {"DetrForSegmentation": objects(*detection.MASKS)})


def clip_joint(model):
    cases = []
    end = model.config.text_config.eos_token_id
    for number, (case, ids, mask, open_rows) in enumerate(image_text.texts(end, 7)):
        if not open_rows:
            inputs = {"input_ids": ids, "attention_mask": mask,
                      "pixel_values": image_text.pictures(1 + number % 2, model.config.vision_config, number)}
            cases.append((case, inputs, image_text.run(
                model, ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], inputs), []))
    return cases


def clip_text(*outputs):
    return lambda model: image_text.text_cases(model, list(outputs), model.config.eos_token_id, 7)


def clip_vision(*outputs):
    def golden(model):
        config = getattr(model.config, "vision_config", model.config)
        return image_text.picture_cases(model, list(outputs), config, 7)
    return golden


CLIP_TEXT = ([dict(hidden_size=15, num_attention_heads=3)] + each("num_attention_heads", 1, 16) + each("intermediate_size", 7) +
             each("num_hidden_layers", 1, 3) + each("hidden_act", *ACTIVATIONS) + each("layer_norm_eps", 0.1, 1e-3) +
             each("eos_token_id", 2, 40) + each("max_position_embeddings", 20) + each("projection_dim", 3) + each("vocab_size", 60) +
             each("attention_dropout", 0.5) + list(EVERYWHERE))
CLIP_VISION = ([dict(hidden_size=16, num_attention_heads=4)] + each("num_attention_heads", 1, 15) + each("intermediate_size", 7) +
               each("num_hidden_layers", 1, 3) + each("hidden_act", *ACTIVATIONS) + each("layer_norm_eps", 0.1, 1e-3) +
               each("image_size", 8, 13, 20) + each("patch_size", 2, 3, 5) + each("num_channels", 1) + each("projection_dim", 3) + list(EVERYWHERE))


def nested(key, base, changes):
    return [{key: {**base, **change}} for change in changes]


FAMILIES["clip"] = Family(
    T.CLIPConfig, dict(text_config=image_text.TEXT, vision_config=image_text.VISION, projection_dim=10),
    nested("text_config", image_text.TEXT, CLIP_TEXT) + nested("vision_config", image_text.VISION, CLIP_VISION) + each("projection_dim", 4) +
    each("logit_scale_init_value", 1.0) + each("tie_word_embeddings", False) + list(EVERYWHERE),
    {"CLIPModel": clip_joint, "CLIPForImageClassification": clip_vision("logits")})
FAMILIES["clip_text_model"] = Family(T.CLIPTextConfig, image_text.TEXT, CLIP_TEXT, {
    "CLIPTextModel": clip_text("last_hidden_state", "pooler_output"),
    "CLIPTextModelWithProjection": clip_text("text_embeds", "last_hidden_state")})
FAMILIES["clip_vision_model"] = Family(T.CLIPVisionConfig, image_text.VISION, CLIP_VISION, {
    "CLIPVisionModel": clip_vision("last_hidden_state", "pooler_output"),
    "CLIPVisionModelWithProjection": clip_vision("image_embeds", "last_hidden_state")})

# Files.

FORMS = ("plain", "f16", "bf16", "few_keys", "old_config", "old_norms", "bare", "prefixed", "torch")


def write_folder(model, folder, form):
    """What save_pretrained writes, in one of the forms that files have."""
    model.save_pretrained(folder)
    config_file, weights_file = folder / "config.json", folder / "model.safetensors"
    config, weights = json.loads(config_file.read_text()), load_file(weights_file)
    base = model.base_model_prefix + "."
    if form in ("f16", "bf16"):
        dtype = torch.float16 if form == "f16" else torch.bfloat16
        weights = {key: value.to(dtype) if value.is_floating_point() else value for key, value in weights.items()}
    elif form == "few_keys":  # as old files: what equals the default is left out
        defaults = type(model.config)().to_dict()
        config = {key: value for key, value in config.items() if key in ("architectures", "model_type") or value != defaults.get(key)}
    elif form == "old_config":
        config["torch_dtype"] = config.pop("dtype", "float32")
        config["transformers_version"] = "4.30.0"
    elif form == "old_norms":
        weights = {re.sub(r"LayerNorm\.(weight|bias)$", lambda m: "LayerNorm." + {"weight": "gamma", "bias": "beta"}[m[1]], key): value
                   for key, value in weights.items()}
    elif form == "bare":
        weights = {key.removeprefix(base): value for key, value in weights.items()}
    elif form == "prefixed":
        weights = {key if key.startswith(base) else base + key: value for key, value in weights.items()}
    config_file.write_text(json.dumps(config))
    if form == "torch":
        weights_file.unlink()
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file({key: value.contiguous() for key, value in weights.items()}, weights_file, metadata={"format": "pt"})


class NoModel(Exception):
    """transformers cannot do it."""


def make(family, class_name, changes, form, folder, seed):
    """The checkpoint in `folder`; what PyTorch answers when it reads it."""
    kind = getattr(transformers, class_name)
    try:
        config = family.config(**{**family.base, **changes})
        write_folder(randomise(kind(config), seed, family.spread), folder, form)
        model, report = kind.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
        if report["missing_keys"] or report["mismatched_keys"] or report["error_msgs"]:
            raise NoModel(f"missing {sorted(report['missing_keys'])[:2]}")
        return family.classes[class_name](answering(model.eval()))
    except NoModel:
        raise
    except Exception as problem:  # noqa: BLE001: whatever the framework says of a config, it cannot run it
        raise NoModel(f"{type(problem).__name__}: {(str(problem).splitlines() or [''])[0]}"[:160]) from problem


def answering(model):
    """Configs that ask for tuples are answered with names all the same."""
    for config in (model.config, *(getattr(model.config, part, None) for part in ("text_config", "vision_config"))):
        if config is not None:
            config.return_dict = True
    return model


def convert(axon, folder):
    """None, or why not."""
    done = subprocess.run([axon, "convert", folder, "--no-check"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    if done.returncode not in (1, 2, 3, 4, 5) or "error" not in done.stderr:
        raise AssertionError(f"axon ended with {done.returncode}: {done.stderr[-200:]}")
    return done.stderr.strip().splitlines()[0].removeprefix(f"axon: error: {folder}: ").partition(" (other people's converters")[0]


def is_unsteady(exactly, inputs, output, found, expected):
    """True when rounding moves PyTorch's own answer as well: `exactly` is the model in float64."""
    try:
        with torch.no_grad():
            exact = exactly()(**{key: value.double() if value.is_floating_point() else value for key, value in inputs.items()})[output].numpy()
    except Exception:  # noqa: BLE001: a case that is more than one call of the model has no such answer
        return False
    return float(numpy.abs(found - exact).max()) <= 10 * float(numpy.abs(expected - exact).max())


def compare(folder, cases, exactly):
    """The largest difference as a part of what is allowed, and whether one was further off for rounding alone; AssertionError says what
    else is wrong."""
    worst, unsteady, sessions = 0.0, False, {}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for name, inputs, outputs, open_rows in cases:
        graph = name.split("@")[0] + ".onnx" if "@" in name else "model.onnx"
        if graph not in sessions:
            assert (folder / graph).exists(), f"there is no {graph}"
            sessions[graph] = onnxruntime.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
        session = sessions[graph]
        wanted, has = sorted(inputs), sorted(i.name for i in session.get_inputs())
        assert wanted == has, f"{graph} has inputs {has}, PyTorch took {wanted}"
        names = [o.name for o in session.get_outputs()]
        assert sorted(names) == sorted(outputs), f"{graph} has outputs {sorted(names)}, PyTorch gave {sorted(outputs)}"
        for output, found in zip(names, session.run(names, {key: value.numpy() for key, value in inputs.items()})):
            expected = outputs[output].float().numpy()
            assert found.shape == expected.shape, f"{name}/{output} is {found.shape}, PyTorch's is {expected.shape}"
            if expected.size == 0:
                continue
            assert numpy.isfinite(found).all(), f"{name}/{output} is not finite"
            rows = [i for i in range(expected.shape[0]) if i not in open_rows] if open_rows else slice(None)
            if expected[rows].size:
                allowed = TOLERANCE * max(1.0, float(numpy.abs(expected[rows]).max()))
                difference = float(numpy.abs(found[rows] - expected[rows]).max()) / allowed
                if difference > 1 and is_unsteady(exactly, inputs, output, found, expected):
                    unsteady = True
                else:
                    worst = max(worst, difference)
    return worst, unsteady


def run_case(axon, family, class_name, changes, form, seed):
    """("right", how near), ("unsteady", ""), ("refused", why), ("no model", why) or ("WRONG", what)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        try:
            cases = make(family, class_name, changes, form, folder, seed)
        except NoModel as problem:
            return "no model", str(problem)
        try:
            refusal = convert(axon, folder)
            if refusal is not None:
                return "refused", refusal
            worst, unsteady = compare(folder, cases, lambda: answering(getattr(transformers, class_name).from_pretrained(
                folder, attn_implementation="eager", dtype=torch.float64).eval()))
        except Exception as problem:  # noqa: BLE001: a graph that does not load or run is as wrong as one that answers otherwise
            return "WRONG", f"{type(problem).__name__}: {problem}"[:300]
        if unsteady and worst <= 1:
            return "unsteady", ""
        return ("right", worst) if worst <= 1 else ("WRONG", f"{worst:.1f} times the difference that is allowed")


def plans(family, class_name, chooser, args):
    """(changes, form)."""
    for form in FORMS:
        yield {}, form
    turn = list(family.classes).index(class_name)
    for number, change in enumerate(family.fields):
        if args.every or number % len(family.classes) == turn:
            yield change, "plain"
    for _ in range(args.random):
        changes = {}
        for change in chooser.sample(family.fields, min(len(family.fields), chooser.randint(2, 5))):
            changes.update(change)
        yield changes, chooser.choice(FORMS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*")
    parser.add_argument("--axon", required=True)
    parser.add_argument("--random", type=int, default=8, help="combinations of each class")
    parser.add_argument("--every", action="store_true", help="each change with each class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--refusals", action="store_true", help="list what was refused, and what transformers cannot do")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    total, wrong = collections.Counter(), 0
    for name in args.families or FAMILIES:
        family = FAMILIES[name]
        for class_name in family.classes:
            ends, reasons, worst = collections.Counter(), collections.defaultdict(list), 0.0
            chooser = random.Random(f"{args.seed} {class_name}")
            for number, (changes, form) in enumerate(plans(family, class_name, chooser, args)):
                end, what = run_case(args.axon, family, class_name, changes, form, 1000 * args.seed + number)
                ends[end] += 1
                shown = f"{'' if form == 'plain' else form + ' '}{changes}"[:200]
                if end == "right":
                    worst = max(worst, what)
                elif end == "unsteady":
                    pass
                elif end == "WRONG":
                    print(f"  WRONG {class_name} {shown}\n        {what}", flush=True)
                else:
                    reasons[end, re.sub(r"'[^']*\.[^']*'", "'...'", what) if end == "no model" else what].append(shown)
            total.update(ends)
            wrong += ends["WRONG"]
            print(f"{name:12} {class_name:38} " + ", ".join(f"{ends[end]} {end}" for end in ("right", "unsteady", "refused", "no model", "WRONG") if ends[end]) +
                  f"; largest difference {TOLERANCE * worst:.1e}", flush=True)
            if args.refusals:
                for (end, reason), met in sorted(reasons.items()):
                    print(f"    {end}, {len(met)}x, as {met[0]}: {reason}")
    print("together: " + ", ".join(f"{count} {end}" for end, count in total.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
