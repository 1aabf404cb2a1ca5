// SPDX-License-Identifier: Apache-2.0
// Transformers over the patches of a picture of one fixed size, as ViT names their parts: patches through a convolution, special
// tokens in front, learned positions, pre-norm layers, a norm at the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/image_model.h"
#include "convert/nn.h"

namespace mlos::convert {

struct ImageTransformerSizes {
  int64_t width = 768;
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t intermediate = 3072;
  int64_t channels = 3;
  ImageSize image = {224, 224};
  ImageSize patch = {16, 16};
  double epsilon = 1e-12;
  std::string activation = "gelu";
  bool projection_bias = true;  // of query, key and value
  int64_t pooler_width = 768;
  std::string pooler_activation = "tanh";

  int64_t encoder_stride = 16;  // pixels a patch becomes in masked-im

  int64_t Patches() const { return image.height / patch.height * (image.width / patch.width); }
};

Result<ImageTransformerSizes> ReadImageTransformerSizes(const Config& config);

class ImageTransformer {
 public:
  // `base`: prefix of the model ("vit."). `special`: the tokens before the patches, as the tensors are called
  // ("cls_token"). Declares pixel_values and builds all layers and the last norm. With `hidden_patches` there is an input that says
  // which patches a token replaces.
  ImageTransformer(GraphBuilder& g, const std::string& base, const ImageTransformerSizes& sizes,
                   std::vector<std::string> special, bool hidden_patches);

  const ModelNames& names() const { return names_; }
  const ImageTransformerSizes& sizes() const { return sizes_; }
  // The answer's token `index`: [batch, width].
  Value Token(int64_t index) { return TakeToken(g_, tokens_, index); }
  // last_hidden_state and, when the checkpoint has a pooler, pooler_output.
  void HiddenOutputs();
  // The picture as the patches have it, hidden ones too.
  Status PictureOutput();

  // Tensors that neither task uses, and those of the heads that `head` does not use.
  std::vector<IgnoreRule> Ignored(Head head, const std::vector<std::string>& classifiers) const;

 private:
  Value Embeddings(bool hidden_patches);
  Value Layer(const Value& x, const std::string& name);

  GraphBuilder& g_;
  const ImageTransformerSizes sizes_;
  const std::vector<std::string> special_;
  const ModelNames names_;
  Layout layout_;
  Value tokens_;  // [batch, special + patches, width]
};

}  // namespace mlos::convert
