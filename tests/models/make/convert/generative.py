# SPDX-License-Identifier: Apache-2.0
"""Writes the generative models of tests/models/convert: tiny, every graph and head, with PyTorch's answers.

A decoder is asked twice: a prompt without a past, then further tokens with the cache that PyTorch itself gave.
"""
import sys

import torch
import transformers
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from common import randomise, start_case, write_config, write_golden, write_tensors

VOCABULARY = 30


def ids_of(count, length, seed, low=3):
    """Random ids that are no special token."""
    return torch.randint(low, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(seed))


def start(name, model, keep=lambda key: True, rename=lambda key: key, full_config=False, dtype=None, config_changes=None):
    """Config and weights of one folder; what of the state dict the file has, and how it is called there."""
    folder = start_case(name)
    config, defaults = model.config.to_dict(), type(model.config)().to_dict()
    if not full_config:  # as old files: what equals the default is left out
        config = {key: value for key, value in config.items() if value != defaults.get(key)}
    config.update(architectures=[type(model).__name__], model_type=model.config.model_type, **(config_changes or {}))
    config.pop("transformers_version", None)
    write_config(folder, config)
    state = {rename(key): value.to(dtype) if dtype and value.is_floating_point() else value
             for key, value in model.state_dict().items() if keep(key)}
    return folder, state


def without(*parts):
    return lambda key: not any(part in key for part in parts)


# GPT-2

def gpt2_masks():
    """(name, ids, mask): batches 1 and 3, both paddings, one token, a masked row, all positions."""
    right, left = torch.ones(3, 7, dtype=torch.long), torch.ones(3, 7, dtype=torch.long)
    right[1, 4:], right[2, 6:], left[1, :3], left[2, :1] = 0, 0, 0, 0
    masked = torch.tensor([[1, 0, 1], [0, 0, 0]])
    cases = [("right_padding", right), ("left_padding", left), ("length_one", torch.ones(1, 1, dtype=torch.long)),
             ("masked_row", masked), ("longest", torch.ones(1, 16, dtype=torch.long))]
    return [(name, ids_of(*mask.shape, 11 + i) * mask, mask) for i, (name, mask) in enumerate(cases)]


def positions_of(mask):
    return torch.clamp(mask.cumsum(1) - 1, min=0)


def past_tensors(cache, prefix, layers):
    return {f"{prefix}.{i}.{name}": tensor.clone() for i in range(layers)
            for name, tensor in (("key", cache.layers[i].keys), ("value", cache.layers[i].values))}


FEW = ("left_padding", "length_one")  # for the second and third model of an architecture


def gpt2_cached(model, only=None):
    """Prompts with an empty past, then one and three tokens more."""
    config, cases = model.config, []
    head = config.n_embd // config.n_head
    for name, ids, mask in gpt2_masks():
        if only and name not in only:
            continue
        empty = {f"past_key_values.{i}.{part}": torch.zeros(len(ids), config.n_head, 0, head)
                 for i in range(config.n_layer) for part in ("key", "value")}
        positions = positions_of(mask)
        with torch.no_grad():
            answer = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True)
            plain = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        assert torch.equal(answer.logits, plain.logits)
        present = past_tensors(answer.past_key_values, "present", config.n_layer)
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **empty}
        cases.append((name, inputs, {"logits": answer.logits, **present}, []))
        for more in (1, 3):
            if ids.shape[1] + more > config.n_positions:
                continue
            past = past_tensors(answer.past_key_values, "past_key_values", config.n_layer)
            cache = DynamicCache()
            for i in range(config.n_layer):
                cache.update(past[f"past_key_values.{i}.key"].clone(), past[f"past_key_values.{i}.value"].clone(), i)
            new = ids_of(len(ids), more, 50 + more)
            whole = torch.cat([mask, torch.ones(len(ids), more, dtype=torch.long)], 1)
            where = positions_of(whole)[:, -more:]
            with torch.no_grad():
                step = model(input_ids=new, attention_mask=whole, position_ids=where, past_key_values=cache, use_cache=True)
            cases.append((f"{name}_then_{more}", {"input_ids": new, "attention_mask": whole, "position_ids": where, **past},
                          {"logits": step.logits, **past_tensors(step.past_key_values, "present", config.n_layer)}, []))
    return cases


def gpt2_plain(model, outputs, pad=None, batch=None):
    cases = []
    for name, ids, mask in gpt2_masks():
        if batch is not None and len(ids) != batch:
            continue
        if pad is not None:
            ids = torch.where(mask == 1, ids, pad)
        with torch.no_grad():
            answer = model(input_ids=ids, attention_mask=mask)
        cases.append((name, {"input_ids": ids, "attention_mask": mask}, {key: answer[key] for key in outputs}, []))
    return cases


def gpt2():
    config = lambda **changes: transformers.GPT2Config(**{**dict(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, attn_implementation="eager", bos_token_id=0,
        eos_token_id=1), **changes})

    def case(name, model, seed, golden, also=None, **options):
        randomise(model, seed)
        if options.get("dtype"):
            model.to(options["dtype"]).float()
        folder, state = start(name, model, **options)
        if options.get("rename"):  # as the oldest files: buffers in the file
            state.update({f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.uint8) for i in range(2)})
            state.update({f"h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)})
        write_tensors(folder / "model.safetensors", state)
        write_golden(folder, golden(model))
        if also:
            task, part, answers = also(model)
            write_golden(folder, answers(part), task)

    case("gpt2-generation", transformers.GPT2LMHeadModel(config()), 1001, gpt2_cached, keep=without("lm_head"),
         rename=lambda key: key.removeprefix("transformer."),
         also=lambda model: ("feature-extraction", model.transformer, lambda part: gpt2_plain(part, ["last_hidden_state"])))
    case("gpt2-generation-own-head", transformers.GPT2LMHeadModel(config(
        n_embd=15, n_head=3, n_inner=22, activation_function="relu", tie_word_embeddings=False, scale_attn_weights=False,
        scale_attn_by_inverse_layer_idx=True)), 1002, lambda model: gpt2_cached(model, FEW), full_config=True)
    case("gpt2-generation-f16", transformers.GPT2LMHeadModel(config(reorder_and_upcast_attn=True)), 1003,
         lambda model: gpt2_cached(model, FEW),
         dtype=torch.float16)
    case("gpt2-base", transformers.GPT2Model(config()), 1004, lambda model: gpt2_plain(model, ["last_hidden_state"]))
    case("gpt2-cls", transformers.GPT2ForSequenceClassification(config(num_labels=3, pad_token_id=2)), 1005,
         lambda model: gpt2_plain(model, ["logits"], pad=2))
    case("gpt2-cls-no-pad", transformers.GPT2ForSequenceClassification(config(num_labels=2)), 1006,
         lambda model: gpt2_plain(model, ["logits"], batch=1))
    case("gpt2-tokens", transformers.GPT2ForTokenClassification(config(num_labels=4)), 1007,
         lambda model: gpt2_plain(model, ["logits"]))
    case("gpt2-qa", transformers.GPT2ForQuestionAnswering(config()), 1008,
         lambda model: gpt2_plain(model, ["start_logits", "end_logits"]))


# Encoder and decoder

def seq2seq_masks():
    """(name, mask of the encoder's text, tokens of the decoder's first step)."""
    right, left = torch.ones(3, 7, dtype=torch.long), torch.ones(3, 7, dtype=torch.long)
    right[1, 4:], right[2, 6:], left[1, :3], left[2, :1] = 0, 0, 0, 0
    return [("right_padding", right, 1), ("left_padding", left, 3), ("length_one", torch.ones(1, 1, dtype=torch.long), 1),
            ("masked_row", torch.tensor([[1, 0, 1], [0, 0, 0]]), 2), ("long", torch.ones(1, 13, dtype=torch.long), 11)]


def encoder_decoder_cache(cache, prefix, layers, parts=("decoder", "encoder")):
    tensors = {}
    for part in parts:
        half = cache.self_attention_cache if part == "decoder" else cache.cross_attention_cache
        tensors.update({f"{prefix}.{i}.{part}.{name}": value for i in range(layers) for name, value in
                        (("key", half.layers[i].keys.clone()), ("value", half.layers[i].values.clone()))})
    return tensors


def refill(past, layers):
    """A framework's cache from the tensors of a past."""
    halves = {}
    for part in ("decoder", "encoder"):
        halves[part] = DynamicCache()
        for i in range(layers):
            key, value = (past[f"past_key_values.{i}.{part}.{name}"].clone() for name in ("key", "value"))
            halves[part].update(key, value, i)
    cache = EncoderDecoderCache(halves["decoder"], halves["encoder"])
    for i in range(layers):
        cache.is_updated[i] = True
    return cache


def decoder_steps(model, name, encoder, mask, first, layers):
    """The first step and two further ones, of one and of three tokens. `mask`: None when the decoder takes none."""
    given = {} if mask is None else {"encoder_attention_mask": mask}
    frame = {} if mask is None else {"attention_mask": mask}
    outputs = BaseModelOutput(last_hidden_state=encoder)
    cases, ids = [], ids_of(len(encoder), first, 60)
    with torch.no_grad():
        answer = model(encoder_outputs=outputs, decoder_input_ids=ids, use_cache=True, **frame)
    cases.append((f"decoder_model@{name}", {"input_ids": ids, "encoder_hidden_states": encoder, **given},
                  {"logits": answer.logits, **encoder_decoder_cache(answer.past_key_values, "present", layers)}, []))
    for more in (1, 3) if name in ("right_padding", "length_one") else (1,):
        past = encoder_decoder_cache(answer.past_key_values, "past_key_values", layers)
        ids = ids_of(len(encoder), more, 70 + more)
        with torch.no_grad():
            answer = model(encoder_outputs=outputs, decoder_input_ids=ids, past_key_values=refill(past, layers), use_cache=True,
                           **frame)
        cases.append((f"decoder_with_past_model@{name}_{more}", {"input_ids": ids, **given, **past},
                      {"logits": answer.logits, **encoder_decoder_cache(answer.past_key_values, "present", layers, ["decoder"])},
                      []))
    return cases


def seq2seq_cases(model, pad, only=None):
    cases, layers = [], len(model.get_decoder().block if hasattr(model.get_decoder(), "block") else model.get_decoder().layers)
    for i, (name, mask, first) in enumerate(seq2seq_masks()):
        if only and name not in only:
            continue
        ids = torch.where(mask == 1, ids_of(*mask.shape, 80 + i), pad)
        with torch.no_grad():
            hidden = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        cases.append((f"encoder_model@{name}", {"input_ids": ids, "attention_mask": mask}, {"last_hidden_state": hidden}, []))
        cases += decoder_steps(model, name, hidden, mask, first, layers)
    return cases


def joint_cases(model, outputs, pad, end=None):
    """One graph that answers for a text. `end`: the token that ends it, as often in each row."""
    cases = []
    for i, (name, mask, _) in enumerate(seq2seq_masks()):
        if end is not None and name == "masked_row":
            continue
        ids = torch.where(mask == 1, ids_of(*mask.shape, 90 + i), pad)
        if end is not None:
            for row, length in enumerate((mask * torch.arange(1, mask.shape[1] + 1)).argmax(1)):
                ids[row, length] = end
                if mask.shape[1] > 4:  # of several the last one counts
                    ids[row, length - 2] = end
        with torch.no_grad():
            answer = model(input_ids=ids, attention_mask=mask)
        cases.append((name, {"input_ids": ids, "attention_mask": mask}, {key: answer[key] for key in outputs}, []))
    return cases


def write_case(name, model, seed, golden, also=None, **options):
    """One folder; `also`: {task: its cases of the model}."""
    randomise(model, seed)
    if options.get("dtype"):
        model.to(options["dtype"]).float()
    folder, state = start(name, model, **options)
    write_tensors(folder / "model.safetensors", state)
    write_golden(folder, golden(model))
    for task, answers in (also or {}).items():
        write_golden(folder, answers(model), task)


def t5():
    sizes = dict(vocab_size=VOCABULARY, d_model=16, d_kv=6, d_ff=20, num_layers=2, num_heads=3, attn_implementation="eager",
                 relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0)
    config = lambda **changes: transformers.T5Config(**{**sizes, **changes})
    cases = lambda model: seq2seq_cases(model, 0)
    few = lambda model: seq2seq_cases(model, 0, FEW)
    base = lambda model: joint_cases(model.get_encoder(), ["last_hidden_state"], 0)
    tied = without("lm_head", "embed_tokens")
    # As t5-small: relu, tied and scaled head.
    write_case("t5", transformers.T5ForConditionalGeneration(config()), 1101, cases, keep=tied,
               config_changes={"tie_word_embeddings": True}, also={"feature-extraction": base})
    # As Flan-T5: gated, a head of its own, another number of decoder layers; written by transformers 4.
    model = transformers.T5ForConditionalGeneration(config(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1, d_kv=8, num_heads=2))
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    write_case("t5-gated-own-head", model, 1102, few, keep=without("embed_tokens"),
               config_changes={"tie_word_embeddings": False})
    # Written by transformers 5: tied and not scaled.
    write_case("t5-gated-silu-v5", transformers.T5ForConditionalGeneration(config(
        feed_forward_proj="gated-silu", tie_word_embeddings=False)), 1103, few, keep=tied, full_config=True,
        dtype=torch.bfloat16)
    write_case("t5-encoder", transformers.T5EncoderModel(config(relative_attention_num_buckets=32, d_model=15)), 1104,
               lambda model: joint_cases(model, ["last_hidden_state"], 0), keep=without("shared"))
    write_case("t5-cls", transformers.T5ForSequenceClassification(config(num_labels=3)), 1105,
               lambda model: joint_cases(model, ["logits"], 0, end=1), keep=without("embed_tokens"))
    write_case("t5-tokens", transformers.T5ForTokenClassification(config(num_labels=4)), 1106,
               lambda model: joint_cases(model, ["logits"], 0), keep=without("embed_tokens"))
    write_case("t5-qa", transformers.T5ForQuestionAnswering(config(num_labels=2)), 1108,
               lambda model: joint_cases(model, ["start_logits", "end_logits"], 0), keep=without("embed_tokens"))
    model = transformers.MT5ForConditionalGeneration(transformers.MT5Config(**sizes))
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    write_case("mt5", model, 1107, few, keep=without("embed_tokens"), config_changes={"tie_word_embeddings": False})


def bart():
    sizes = dict(vocab_size=VOCABULARY, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
                 decoder_attention_heads=2, encoder_ffn_dim=20, decoder_ffn_dim=20, max_position_embeddings=16,
                 attn_implementation="eager")
    config = lambda **changes: transformers.BartConfig(**{**sizes, **changes})
    cases = lambda model: seq2seq_cases(model, 1)
    few = lambda model: seq2seq_cases(model, 1, FEW)

    def generation(model):  # a bias that is not zero shows
        model.final_logits_bias.copy_(torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(1200)))
        return model

    hidden = lambda model: joint_cases(model, ["last_hidden_state", "encoder_last_hidden_state"], 1)
    write_case("bart", generation(transformers.BartForConditionalGeneration(config())), 1201, cases,
               keep=without("lm_head", "embed_tokens"), also={"feature-extraction": lambda model: hidden(model.model)})
    write_case("bart-own-head", transformers.BartForConditionalGeneration(config(
        tie_word_embeddings=False, decoder_layers=1, decoder_attention_heads=4, encoder_ffn_dim=18, scale_embedding=True,
        activation_function="relu")), 1202, few, keep=without("final_logits_bias", "shared"), full_config=True)
    write_case("bart-base", transformers.BartModel(config()), 1203, hidden, keep=without("embed_tokens"), dtype=torch.float16)
    write_case("bart-cls", transformers.BartForSequenceClassification(config(num_labels=3)), 1204,
               lambda model: joint_cases(model, ["logits"], 1, end=2), keep=without("embed_tokens"))
    write_case("bart-qa", transformers.BartForQuestionAnswering(config(encoder_layers=1)), 1205,
               lambda model: joint_cases(model, ["start_logits", "end_logits"], 1), keep=without("embed_tokens"))
    config = lambda **changes: transformers.MBartConfig(**{**sizes, **changes})
    write_case("mbart", generation(transformers.MBartForConditionalGeneration(config(scale_embedding=True))), 1206, few,
               keep=without("lm_head", "embed_tokens"),
               config_changes={"normalize_before": True, "add_final_layer_norm": True, "normalize_embedding": True})
    write_case("mbart-cls", transformers.MBartForSequenceClassification(config(num_labels=2)), 1207,
               lambda model: joint_cases(model, ["logits"], 1, end=2), keep=without("shared", "decoder.embed_tokens"))


FAMILIES = (gpt2, t5, bart)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in FAMILIES:
        if len(sys.argv) < 2 or family.__name__ in sys.argv[1:]:
            family()


if __name__ == "__main__":
    main()
