// SPDX-License-Identifier: Apache-2.0
// Whisper (model_type "whisper"): mel features of a fixed length through two convolutions into a pre-norm encoder; a decoder as BART's.
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/attention_layers.h"
#include "convert/audio_model.h"
#include "convert/image_model.h"
#include "convert/seq2seq.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr int64_t kStride = 2;  // of the second convolution

struct WhisperSizes {
  int64_t vocabulary = 51865, width = 384, mels = 80, frames = 1500, positions = 448, projected = 256;
  int64_t encoder_layers = 4, decoder_layers = 4;
  LayerSizes encoder, decoder;
  bool tied = true;
};

Status ReadLayers(const Config& config, const std::string& side, int64_t width, LayerSizes* layers) {
  const std::string heads = side + "_attention_heads";
  layers->width = width;
  layers->pre_norm = true;
  layers->key_bias = false;
  layers->activation_key = "activation_function";
  MLOS_ASSIGN_OR_RETURN(layers->heads, config.Int(heads, 6, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(layers->inner, config.Int(side + "_ffn_dim", 1536, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(layers->activation, config.String(layers->activation_key, "gelu"));
  if (width % layers->heads == 0) return OkStatus();
  return DataLoss("config.json: 'd_model' " + std::to_string(width) + " is not a multiple of '" + heads +
                  "' " + std::to_string(layers->heads));
}

Result<WhisperSizes> ReadSizes(const Config& config) {
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  MLOS_RETURN_IF_ERROR(config.RequireBool("is_decoder", false));
  MLOS_RETURN_IF_ERROR(config.RequireBool("scale_embedding", false));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  WhisperSizes s;
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("d_model", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.mels, config.Int("num_mel_bins", s.mels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.frames, config.Int("max_source_positions", s.frames, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("max_target_positions", s.positions, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.projected, config.Int("classifier_proj_size", s.projected, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.encoder_layers, config.Int("encoder_layers", 4, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.decoder_layers, config.Int("decoder_layers", 4, 1, 1000));
  MLOS_RETURN_IF_ERROR(ReadLayers(config, "encoder", s.width, &s.encoder));
  MLOS_RETURN_IF_ERROR(ReadLayers(config, "decoder", s.width, &s.decoder));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", true));
  return s;
}

class Whisper {
 public:
  Whisper(GraphBuilder& g, const WhisperSizes& sizes)
      : g_(g), s_(sizes), names_(g, "model.", "encoder.conv1.weight") {}

  const ModelNames& names() const { return names_; }
  const WhisperSizes& sizes() const { return s_; }
  DecoderFrame::Sizes decoder_sizes() const {
    return {s_.decoder_layers, s_.width, s_.decoder.head_shape(), false};
  }

  // [batch, frames, width]; declares input_features.
  Value Encode() {
    const std::string p = names_.Base("encoder.");
    g_.SetScope(p + "conv");
    const Value mels = g_.Input("input_features", DType::kFp32, {kBatchAxis, s_.mels, kStride * s_.frames});
    Value x = Gelu(ConvolveTime(g_, mels, p + "conv1", true, {s_.mels, s_.width, 3, 1, 1, 1}));
    x = SwapTime(g_, Gelu(ConvolveTime(g_, x, p + "conv2", true, {s_.width, s_.width, 3, kStride, 1, 1})));
    x = g_.Op("Add", {x, g_.Weight(p + "embed_positions.weight", {s_.frames, s_.width})});
    const Value batch = SizesOf(g_, x, 0);
    AttentionLayers layers(g_, s_.encoder, {});
    x = ToRows(g_, x, s_.width);
    for (int64_t i = 0; i < s_.encoder_layers; ++i)
      x = layers.Encoder(x, p + "layers." + std::to_string(i) + ".", batch, {});
    g_.SetScope(p + "layer_norm");
    x = LayerNorm(g_, x, p + "layer_norm", s_.width, s_.encoder.epsilon);
    return g_.Op("Reshape", {x, g_.Ints({-1, s_.frames, s_.width})});
  }

  // Rows of the decoder.
  Value Decode(DecoderFrame& frame) {
    const std::string p = names_.Base("decoder.");
    g_.SetScope(p + "embed");
    Value x = Embedding(g_, p + "embed_tokens.weight", frame.ids(), s_.vocabulary, s_.width);
    x = g_.Op("Add",
              {x, Embedding(g_, p + "embed_positions.weight", frame.positions(), s_.positions, s_.width)});
    x = ToRows(g_, x, s_.width);
    const Value bias = frame.CausalBias();
    AttentionLayers layers(g_, s_.decoder, {});
    for (int64_t i = 0; i < s_.decoder_layers; ++i)
      x = layers.Decoder(x, p + "layers." + std::to_string(i) + ".", frame, i, bias, {});
    g_.SetScope(p + "layer_norm");
    return LayerNorm(g_, x, p + "layer_norm", s_.width, s_.decoder.epsilon);
  }

  Value VocabularyScores(const Value& rows) {
    g_.SetScope("proj_out");
    const std::string words = names_.Base("decoder.embed_tokens.weight");
    const std::string head = TiedTensor(g_, s_.tied, words, names_.Of("proj_out.weight"));
    return LinearFrom(g_, rows, head, "", s_.width, s_.vocabulary);
  }

  void HiddenOutput() {
    g_.Output("last_hidden_state", Encode(), DType::kFp32, {kBatchAxis, s_.frames, s_.width});
  }

 private:
  Value Gelu(const Value& x) { return Activation(g_, x, "gelu", ""); }

  GraphBuilder& g_;
  const WhisperSizes s_;
  const ModelNames names_;
};

void Transcription(GraphBuilder& g, Whisper& model) {
  StartPart(g, Part::kEncoder);
  model.HiddenOutput();
  for (const Part part : {Part::kDecoder, Part::kDecoderWithPast}) {
    StartPart(g, part);
    DecoderFrame frame(g, model.decoder_sizes(), part);
    frame.Outputs("logits", model.VocabularyScores(model.Decode(frame)), model.sizes().vocabulary);
  }
}

std::vector<IgnoreRule> Ignored(const ModelNames& names, Head head) {
  std::vector<IgnoreRule> rules = {
      IgnoreTensor(names.Of("proj_out.weight"), "tied to the embeddings, or not part of the task")};
  if (head == Head::kEncoder)
    rules.push_back({names.Base("decoder."), "", "the decoder, not part of the task"});
  return rules;
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  if (context.encoder_only)
    return Unimplemented("pooling of sentence-transformers is not supported for whisper");
  MLOS_ASSIGN_OR_RETURN(const WhisperSizes sizes, ReadSizes(context.config));
  Whisper model(g, sizes);
  switch (context.head) {
    case Head::kEncoder:
      model.HiddenOutput();
      break;
    case Head::kSpeechRecognition:
      Transcription(g, model);
      break;
    case Head::kAudioClassification: {
      MLOS_RETURN_IF_ERROR(context.config.RequireBool("use_weighted_layer_sum", false));
      const ModelNames& names = model.names();
      RecordingLabels(g, model.Encode(), names.Of("projector"), names.Of("classifier"), sizes.width,
                      sizes.projected);
      break;
    }
    default:
      return Unimplemented("task '" + std::string(TaskName(context.head)) + "' is not supported for whisper");
  }
  return BuildResult{{}, Ignored(model.names(), context.head), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"WhisperForConditionalGeneration", Head::kSpeechRecognition},
    {"WhisperModel", Head::kEncoder},
    {"WhisperForAudioClassification", Head::kAudioClassification},
}};

}  // namespace

const Architecture kWhisper = {"whisper", kClasses, Build};

}  // namespace mlos::convert
