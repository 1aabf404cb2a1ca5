// SPDX-License-Identifier: Apache-2.0
// A decoder-only language model on its way into a GGUF file: which metadata and which tensors, and where their bytes come from.
// Nothing but headers is read here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "convert/checkpoint.h"
#include "convert/config.h"
#include "convert/gguf/gguf_file.h"
#include "convert/gguf/rope.h"

namespace mlos::convert {

struct DecoderTensor {
  std::string name;  // in the GGUF file
  Shape shape;
  const CheckpointTensor* source = nullptr;  // null: `values`
  std::vector<float> values;
  // kRopePairs: rows of each of `heads` heads change from halves (x1..., y1...) to pairs (x1, y1, ...), as llama.cpp turns
  // them. kPlusOne: Gemma's norms scale by 1 + weight.
  enum class Change { kNone, kRopePairs, kPlusOne };
  Change change = Change::kNone;
  int64_t heads = 0;
};

struct DecoderPlan {
  std::string architecture;  // llama.cpp's name: "llama", "qwen2", ...
  GgufMetadata metadata;     // architecture's own keys
  std::vector<DecoderTensor> tensors;
  std::vector<std::string> used;
  std::vector<std::string> ignored;  // with the reason in brackets
  std::vector<std::string> notes;    // what llama.cpp does differently
  int64_t vocabulary = 0;            // rows of the embedding
  uint32_t context_length = 0;
  uint64_t parameters = 0;
};

// model_type values that PlanDecoder knows, in order.
std::vector<std::string> DecoderModelTypes();
// True for those, and for no others.
bool IsDecoderModelType(std::string_view model_type);

// kUnimplemented names the config value or tensor that is not supported. `checkpoint` must outlive the plan.
Result<DecoderPlan> PlanDecoder(const Config& config, const Checkpoint& checkpoint);

}  // namespace mlos::convert
