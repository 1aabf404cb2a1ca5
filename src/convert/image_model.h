// SPDX-License-Identifier: Apache-2.0
// What image models share: names with and without the model's prefix, the picture, the outputs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "convert/architectures.h"
#include "convert/config.h"
#include "convert/graph.h"

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
Status RequireImageHead(std::string_view architecture, const BuildContext& context);

}  // namespace mlos::convert
