// SPDX-License-Identifier: Apache-2.0
// From token embeddings to one vector a text, as sentence-transformers computes it.
#pragma once

#include <optional>
#include <string_view>

#include "base/status.h"
#include "tensor/tensor.h"

namespace mlos::preprocess {

enum class Pooling { kMean, kCls, kMax, kLastToken };

std::optional<Pooling> PoolingFromName(std::string_view name);  // "mean", "cls", "max", "lasttoken"

// tokens FP32 or FP16 [batch, sequence, width]; mask INT64 or INT32 [batch, sequence] with 1 = attended, or null = all are. Gives
// FP32 [batch, width]; with `normalize` each vector divided by its length (at least 1e-12). A text without any attended token
// gives zeros (max: the lowest float; cls, lasttoken: the first token). kUnprocessable when dtypes or shapes are others.
Result<Tensor> Pool(const TensorView& tokens, const TensorView* mask, Pooling pooling, bool normalize);

}  // namespace mlos::preprocess
