// SPDX-License-Identifier: Apache-2.0
// An inference request body -> what infer::Request holds, decoded against the model's interface. Grammar in
// docs/formats/http.md; in short:
//
//   body   = {input-name: tensor, ...}                     json_tensor.h
//          | {"inputs": {input-name: tensor, ...}}
//          | {key: value}      key = inputs | input | text | prompt; value = string, list of strings, or the tensor of
//                              the only required input
//          | {"prompt" | "messages": ..., generation parameters}   for a model that generates
//          plus, in any of them: id, stream, outputs, parameters
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/model_interface.h"
#include "infer/request.h"

namespace mlos::wire {

struct InferBody {
  // Exactly one of the three is filled, as in Request.
  std::vector<NamedTensor> inputs;
  std::vector<std::string> texts;
  std::optional<Generation> generation;

  std::vector<std::string> outputs;  // names wanted; empty = all
  std::string id;                    // of the client; may be empty
  bool stream = false;               // answer as server-sent events
  std::optional<Priority> priority;  // parameters.priority
  int64_t timeout_us = 0;            // parameters.timeout; 0 = none
  // keep_alive, in the body or in parameters: nanoseconds, negative = for ever.
  std::optional<int64_t> keep_alive_ns;
};

// kInvalidArgument: not JSON (with the byte offset) or a key twice; kUnprocessable: does not fit the model, or a key that
// means nothing to it.
Result<InferBody> DecodeInferJson(std::string_view body, const ModelInterface& model);

// The only input's raw little-endian bytes (Content-Type: application/octet-stream).
Result<InferBody> DecodeInferBytes(std::string_view body, const ModelInterface& model);

}  // namespace mlos::wire
