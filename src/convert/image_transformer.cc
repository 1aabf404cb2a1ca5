// SPDX-License-Identifier: Apache-2.0
#include "convert/image_transformer.h"

#include <utility>

#include "convert/text_model.h"

namespace mlos::convert {

Result<ImageTransformerSizes> ReadImageTransformerSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  ImageTransformerSizes s;
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("hidden_size", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("num_hidden_layers", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Int("num_attention_heads", s.heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.intermediate, config.Int("intermediate_size", s.intermediate, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.image, ReadImageSize(config, "image_size", s.image));
  MLOS_ASSIGN_OR_RETURN(s.patch, ReadImageSize(config, "patch_size", s.patch));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", s.activation));
  MLOS_ASSIGN_OR_RETURN(s.projection_bias, config.Bool("qkv_bias", s.projection_bias));
  MLOS_ASSIGN_OR_RETURN(s.pooler_width, config.Int("pooler_output_size", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.pooler_activation, config.String("pooler_act", s.pooler_activation));
  MLOS_ASSIGN_OR_RETURN(s.encoder_stride, config.Int("encoder_stride", s.encoder_stride, 1, 1 << 16));
  if (s.width % s.heads != 0) {
    return DataLoss("config.json: 'hidden_size' " + std::to_string(s.width) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(s.heads));
  }
  if (s.Patches() == 0) return DataLoss("config.json: 'patch_size' is larger than 'image_size'");
  return s;
}

ImageTransformer::ImageTransformer(GraphBuilder& g, const std::string& base,
                                   const ImageTransformerSizes& sizes, std::vector<std::string> special,
                                   bool hidden_patches)
    : g_(g), sizes_(sizes), special_(std::move(special)), names_(g, base, "embeddings.cls_token") {
  const Value embedded = Embeddings(hidden_patches);
  layout_ = {g_.Op("Shape", {embedded}, {{"start", int64_t{0}}, {"end", int64_t{2}}}), sizes_.width};
  Value x = ToRows(g_, embedded, sizes_.width);
  for (int64_t i = 0; i < sizes_.layers; ++i) x = Layer(x, "encoder.layer." + std::to_string(i));
  g_.SetScope("layernorm");
  x = LayerNorm(g_, x, names_.Base("layernorm"), sizes_.width, sizes_.epsilon);
  tokens_ = FromRows(g_, layout_, x, sizes_.width);
}

Value ImageTransformer::Embeddings(bool hidden_patches) {
  g_.SetScope("embeddings");
  const ImageTransformerSizes& s = sizes_;
  const Value pixels =
      g_.Input("pixel_values", DType::kFp32, {kBatchAxis, s.channels, s.image.height, s.image.width});
  const std::string projection = names_.Base("embeddings.patch_embeddings.projection");
  const std::vector<int64_t> patch = {s.patch.height, s.patch.width};
  const Value grid =
      g_.Op("Conv",
            {pixels, g_.Weight(projection + ".weight", {s.width, s.channels, s.patch.height, s.patch.width}),
             g_.Weight(projection + ".bias", {s.width})},
            {{"kernel_shape", patch}, {"strides", patch}});
  const Value columns = g_.Op("Reshape", {grid, g_.Ints({0, s.width, -1})});
  Value patches = g_.Op("Transpose", {columns}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  if (hidden_patches)
    patches = HidePatches(g_, patches, names_.Base("embeddings.mask_token"), s.Patches(), s.width);
  const Value batch = g_.Op("Shape", {pixels}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  const Value one_each = g_.Op("Concat", {batch, g_.Ints({1, s.width})}, {{"axis", int64_t{0}}});
  std::vector<Value> parts;
  for (const std::string& token : special_) {
    const Value row = g_.Weight(names_.Base("embeddings." + token), {1, 1, s.width});
    parts.push_back(g_.Op("Expand", {row, one_each}));
  }
  parts.push_back(patches);
  const Value tokens = g_.Op("Concat", parts, {{"axis", int64_t{1}}});
  const int64_t count = s.Patches() + static_cast<int64_t>(special_.size());
  return g_.Op("Add",
               {tokens, g_.Weight(names_.Base("embeddings.position_embeddings"), {1, count, s.width})});
}

Value ImageTransformer::Layer(const Value& x, const std::string& name) {
  g_.SetScope(name);
  const ImageTransformerSizes& s = sizes_;
  const std::string p = names_.Base(name) + ".";
  const Value normed = LayerNorm(g_, x, p + "layernorm_before", s.width, s.epsilon);
  const auto projected = [&](const char* part) {
    const std::string linear = p + "attention.attention." + part;
    return LinearFrom(g_, normed, linear + ".weight", s.projection_bias ? linear + ".bias" : "", s.width,
                      s.width);
  };
  const Value query = projected("query");
  const Value key = projected("key");
  const Value mixed = Attention(g_, layout_, s.heads, query, key, projected("value"), {});
  const Value attended = g_.Op("Add", {Dense(g_, mixed, p + "attention.output.dense", s.width, s.width), x});
  Value y = LayerNorm(g_, attended, p + "layernorm_after", s.width, s.epsilon);
  y = Activation(g_, Dense(g_, y, p + "intermediate.dense", s.width, s.intermediate), s.activation,
                 "hidden_act");
  return g_.Op("Add", {Dense(g_, y, p + "output.dense", s.intermediate, s.width), attended});
}

void ImageTransformer::HiddenOutputs() {
  const int64_t count = sizes_.Patches() + static_cast<int64_t>(special_.size());
  g_.Output("last_hidden_state", tokens_, DType::kFp32, {kBatchAxis, count, sizes_.width});
  const std::string pooler = names_.Base("pooler.dense");
  if (!g_.Has(pooler + ".weight")) return;
  g_.SetScope("pooler");
  const Value pooled = Dense(g_, Token(0), pooler, sizes_.width, sizes_.pooler_width);
  g_.Output("pooler_output", Activation(g_, pooled, sizes_.pooler_activation, "pooler_act"), DType::kFp32,
            {kBatchAxis, sizes_.pooler_width});
}

Status ImageTransformer::PictureOutput() {
  const ImageTransformerSizes& s = sizes_;
  if (s.patch.height != s.encoder_stride || s.patch.width != s.encoder_stride) {
    return Unimplemented("config.json: 'patch_size' is " + std::to_string(s.patch.height) + " x " +
                         std::to_string(s.patch.width) +
                         "; supported for masked-im: that of 'encoder_stride', " +
                         std::to_string(s.encoder_stride));
  }
  const Reconstruction picture = {s.image, s.channels, s.encoder_stride};
  MLOS_RETURN_IF_ERROR(CheckReconstruction(picture, s.Patches()));
  const Value patches = SliceAxis(g_, tokens_, 1, static_cast<int64_t>(special_.size()), kEnd);
  ReconstructionOutput(g_, patches, names_.Of("decoder.0"), s.width, picture);
  return OkStatus();
}

std::vector<IgnoreRule> ImageTransformer::Ignored(Head head,
                                                  const std::vector<std::string>& classifiers) const {
  std::vector<IgnoreRule> rules = {{names_.Base("embeddings.mask_token"), "", "only training hides patches"}};
  if (head == Head::kEncoder) {
    for (const std::string& classifier : classifiers)
      rules.push_back({names_.Of(classifier + "."), "", "classifier, not part of the task"});
    rules.push_back({names_.Of("decoder."), "", "head, not part of the task"});
  } else {
    rules.push_back({names_.Base("pooler."), "", "the task's output does not use the pooler"});
  }
  return rules;
}

}  // namespace mlos::convert
