# SPDX-License-Identifier: Apache-2.0
"""Writes the audio models of tests/models/convert: tiny, every graph and head, with PyTorch's answers."""
import sys

import torch
import transformers

from generative import decoder_steps, without, write_case

VOCABULARY = 30


def noise(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Whisper

def whisper():
    config = lambda **changes: transformers.WhisperConfig(**{**dict(
        vocab_size=VOCABULARY, d_model=16, num_mel_bins=5, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=20, decoder_ffn_dim=20, max_source_positions=9, max_target_positions=24,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, attn_implementation="eager",
        suppress_tokens=None, begin_suppress_tokens=None), **changes})

    def features(model, count, seed):
        return noise(count, model.config.num_mel_bins, 2 * model.config.max_source_positions, seed=seed)

    def transcription(model):
        cases = []
        for i, (name, count, first) in enumerate([("right_padding", 1, 1), ("three", 3, 4), ("length_one", 2, 2)]):
            mels = features(model, count, 2000 + i)
            with torch.no_grad():
                hidden = model.get_encoder()(mels).last_hidden_state
            name = {"right_padding": "one"}.get(name, name)
            cases.append((f"encoder_model@{name}", {"input_features": mels}, {"last_hidden_state": hidden}, []))
            cases += decoder_steps(model, name, hidden, None, first, model.config.decoder_layers)
        return cases

    def plain(outputs):
        def cases(model):
            result = []
            for count in (1, 3):
                mels = features(model, count, 2010 + count)
                with torch.no_grad():
                    answer = model(mels)
                result.append((f"batch_{count}", {"input_features": mels}, {key: answer[key] for key in outputs}, []))
            return result
        return cases

    write_case("whisper", transformers.WhisperForConditionalGeneration(config()), 2001, transcription, keep=without("proj_out"),
               also={"feature-extraction": lambda model: plain(["last_hidden_state"])(model.get_encoder())})
    write_case("whisper-own-head", transformers.WhisperForConditionalGeneration(config(
        tie_word_embeddings=False, decoder_layers=1, decoder_attention_heads=4, activation_function="relu", encoder_layers=1)),
        2002, transcription, full_config=True, dtype=torch.float16)
    write_case("whisper-cls", transformers.WhisperForAudioClassification(config(num_labels=3, classifier_proj_size=6)), 2003,
               plain(["logits"]))


# Wav2Vec2 and HuBERT

def recordings(model, outputs):
    cases = []
    for name, count, samples in [("one", 1, 211), ("three", 3, 160), ("shortest", 2, shortest(model.config))]:
        values = noise(count, samples, seed=samples)
        with torch.no_grad():
            answer = model(values)
        cases.append((name, {"input_values": values}, {key: answer[key] for key in outputs}, []))
    return cases


def shortest(config):
    """Samples that give one frame."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride)):
        samples = (samples - 1) * stride + kernel
    return samples


def sizes(**changes):
    return {**dict(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
                   conv_dim=[8, 12, 8], conv_kernel=[5, 3, 2], conv_stride=[3, 2, 2], num_conv_pos_embeddings=6,
                   num_conv_pos_embedding_groups=4, classifier_proj_size=6, attn_implementation="eager",
                   num_codevectors_per_group=4, codevector_dim=8, proj_codevector_dim=8), **changes}


def old_names(key):
    return (key.replace("parametrizations.weight.original0", "weight_g")
            .replace("parametrizations.weight.original1", "weight_v"))


def wav2vec2():
    config = lambda **changes: transformers.Wav2Vec2Config(**sizes(**changes))
    hidden = lambda model: recordings(model, ["last_hidden_state"])
    logits = lambda model: recordings(model, ["logits"])
    write_case("wav2vec2-ctc", transformers.Wav2Vec2ForCTC(config()), 2101, logits, rename=old_names,
               also={"feature-extraction": lambda model: hidden(model.wav2vec2)})
    stable = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True, num_conv_pos_embeddings=5)
    write_case("wav2vec2-ctc-stable", transformers.Wav2Vec2ForCTC(config(**stable, num_attention_heads=4)), 2102, logits,
               full_config=True)
    write_case("wav2vec2-base", transformers.Wav2Vec2Model(config(hidden_act="relu", feat_extract_activation="gelu_new")), 2103,
               hidden, dtype=torch.float16, keep=without("masked_spec"))
    write_case("wav2vec2-cls", transformers.Wav2Vec2ForSequenceClassification(config(num_labels=3)), 2104, logits)
    write_case("wav2vec2-cls-stable", transformers.Wav2Vec2ForSequenceClassification(config(
        **stable, num_labels=2)), 2105, logits, rename=old_names, keep=without("masked_spec"))
    write_case("wav2vec2-frames", transformers.Wav2Vec2ForAudioFrameClassification(config(
        num_labels=2, use_weighted_layer_sum=True)), 2106, logits)
    model = transformers.Wav2Vec2ForPreTraining(config())
    write_case("wav2vec2-pretraining", model, 2107, lambda model: hidden(model.wav2vec2), rename=old_names)


def hubert():
    unknown = ("num_codevectors_per_group", "codevector_dim", "proj_codevector_dim")
    config = lambda **changes: transformers.HubertConfig(
        **{key: value for key, value in sizes(**changes).items() if key not in unknown})
    write_case("hubert-ctc", transformers.HubertForCTC(config(
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)), 2201,
        lambda model: recordings(model, ["logits"]))
    write_case("hubert-base", transformers.HubertModel(config(feat_proj_layer_norm=False)), 2202,
               lambda model: recordings(model, ["last_hidden_state"]), rename=old_names)
    write_case("hubert-cls", transformers.HubertForSequenceClassification(config(num_labels=4, use_weighted_layer_sum=True)),
               2203, lambda model: recordings(model, ["logits"]))


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family in (whisper, wav2vec2, hubert):
        if len(sys.argv) < 2 or family.__name__ in sys.argv[1:]:
            family()


if __name__ == "__main__":
    main()
