// SPDX-License-Identifier: Apache-2.0
// What a loaded model declares about itself: the schema that codecs decode against.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace mlos {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;                         // -1 = any size
  std::vector<std::string> dim_names;  // as many as shape; "" where a dimension has no name
  bool optional = false;               // input: the plugin has a default
  std::string description;

  bool operator==(const TensorSpec&) const = default;
};

struct ModelInterface {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  bool executes = false;   // tensors in, tensors out
  bool generates = false;  // text in, text out
  bool has_chat_template = false;
  bool accepts_text = false;  // the package brings a tokenizer: Request::texts is allowed
  uint32_t context_length = 0;
  uint32_t embedding_length = 0;
  int32_t batch_dimension = -1;
  // Memory that the model reads in place: inputs allocated there (Tensor::Allocate) travel without a copy. May be null.
  std::shared_ptr<TensorArena> input_arena;

  // Null when there is none.
  const TensorSpec* FindInput(std::string_view name) const;
  const TensorSpec* FindOutput(std::string_view name) const;
};

// The shape that values sent for `spec` have. `sent` is the nesting the client used (for flat values: one entry).
// Accepted: the declared rank with matching fixed dimensions; the declared rank without the leading batch dimension (a 1
// is put in front); flat values whose count fills the declared shape when a free leading dimension is 1 and at most one
// other dimension is free; flat values of several whole items when only the leading dimension is free. Otherwise kUnprocessable with the input's name, what is declared and what was sent.
Result<Shape> FitShape(const TensorSpec& spec, const Shape& sent);

// Checks dtype, rank and fixed dimensions; kUnprocessable as FitShape.
Status CheckTensor(const TensorSpec& spec, const TensorView& tensor);

// "FP32 [batch, 3, 224, 224]": for error messages.
std::string SpecToString(const TensorSpec& spec);

}  // namespace mlos
