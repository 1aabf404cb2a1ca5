// SPDX-License-Identifier: Apache-2.0
// What image models share: names with and without the model's prefix, the picture, the outputs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/status.h"
#include "convert/architectures.h"
#include "convert/config.h"
#include "convert/graph.h"
#include "convert/nn.h"

namespace mlos::convert {

// In pixels, or patches.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
};

// A number (a square) or [height, width]. Both at least 1.
Result<ImageSize> ReadImageSize(const Config& config, std::string_view key, ImageSize fallback);

// Names of a model's tensors: its own behind `base` ("vit.") or bare, everything perhaps wrapped once more ("module.", "model.").
class ModelNames {
 public:
  // `probe` is a tensor every such model has, without prefix.
  ModelNames(const GraphBuilder& g, const std::string& base, const std::string& probe);
  std::string Base(const std::string& name) const { return wrapper_ + base_ + name; }
  std::string Of(const std::string& name) const { return wrapper_ + name; }

 private:
  std::string wrapper_;
  std::string base_;
};

// Scores of the labels from `pooled` [batch, width]: linear layer `name`; how many labels there are is what the tensor says.
Value Labels(GraphBuilder& g, const Value& pooled, const std::string& name, int64_t width);
// Output `logits` [batch, labels of the linear layer `name`].
void LogitsOutput(GraphBuilder& g, const Value& logits, const std::string& name);

// kUnimplemented unless the head is one that image models have and nothing is to come behind the encoder.
Status RequireHead(std::string_view architecture, const BuildContext& context,
                   std::initializer_list<Head> known);
// The same for feature-extraction and image-classification.
Status RequireImageHead(std::string_view architecture, const BuildContext& context);

// Layers of a transformer by their names; activations are rows.
// Self-attention after the query, key and value layers `names`, then the layer `out`. `biases` says which of the three have one.
struct AttentionNames {
  std::string query, key, value, out;
  bool query_bias = true, key_bias = true, value_bias = true;
};
Value SelfAttention(GraphBuilder& g, const Layout& layout, int64_t heads, const Value& x,
                    const AttentionNames& names, const Value& score_bias);
// second(act(first(x))).
Value FeedForward(GraphBuilder& g, const Value& x, const std::string& first, const std::string& second,
                  int64_t width, int64_t inner, const std::string& activation);

// `tokens` [batch, n, width] behind the token `first`, [.., width] of one row.
Value BehindToken(GraphBuilder& g, const Value& first, const Value& tokens, int64_t width);
// x[:, from:to] of [batch, n, ...]; negative ones count from the end, kEnd is the end.
inline constexpr int64_t kEnd = INT64_MAX;
Value SliceAxis(GraphBuilder& g, const Value& x, int64_t axis, int64_t from, int64_t to, int64_t step = 1);
// Patches [batch, count, width] with the tensor `token` [1, 1, width] in place of those that the input bool_masked_pos, declared here, names.
Value HidePatches(GraphBuilder& g, const Value& patches, const std::string& token, int64_t count,
                  int64_t width);
// The picture that a masked model makes of its tokens.
struct Reconstruction {
  ImageSize picture;
  int64_t channels = 0;
  int64_t stride = 0;  // pixels a token stands for, each way
};
// kUnimplemented when `count` tokens, each a square of `stride` pixels, are not the picture: the framework cannot run such a model.
Status CheckReconstruction(const Reconstruction& r, int64_t count);
// Declares the output `reconstruction`: tokens [batch, count, width] through the convolution `decoder`, whose channels become pixels.
void ReconstructionOutput(GraphBuilder& g, const Value& tokens, const std::string& decoder, int64_t width,
                          const Reconstruction& r);
// Mean over axis 1 of [batch, n, width].
Value MeanOfTokens(GraphBuilder& g, const Value& tokens);

// For a window of height * width places, int64 [places, places]: which row of a table of (2 height - 1) * (2 width - 1) rows
// belongs to the place of the key seen from the query's.
Value RelativePlaces(GraphBuilder& g, ImageSize window);

}  // namespace mlos::convert
