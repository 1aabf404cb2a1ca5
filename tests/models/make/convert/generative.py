# SPDX-License-Identifier: Apache-2.0
"""Writes the generative models of tests/models/convert: tiny, every graph and head, with PyTorch's answers.

A decoder is asked twice: a prompt without a past, then further tokens with the cache that PyTorch itself gave.
"""
import torch
import transformers
from transformers.cache_utils import DynamicCache

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


def gpt2_cached(model):
    """Prompts with an empty past, then one and three tokens more."""
    config, cases = model.config, []
    head = config.n_embd // config.n_head
    for name, ids, mask in gpt2_masks():
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
        scale_attn_by_inverse_layer_idx=True)), 1002, gpt2_cached, full_config=True)
    case("gpt2-generation-f16", transformers.GPT2LMHeadModel(config(reorder_and_upcast_attn=True)), 1003, gpt2_cached,
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


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (gpt2,):
        family()


if __name__ == "__main__":
    main()
