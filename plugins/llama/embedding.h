// SPDX-License-Identifier: Apache-2.0
// One execute() call of an embedding model: texts in, one vector each out.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "call.h"
#include "smi/smi.h"
#include "status.h"
#include "vocabulary.h"

namespace mlos::llama {

// The elements of an SMI_BYTES tensor: `count` of them, each after its length, filling `data` exactly. SMI_BAD_INPUT
// otherwise.
Status SplitBytes(const smi_tensor& tensor, uint64_t count, std::vector<std::string_view>* elements);

class Embedding final : public smi_call {
 public:
  // Checks the inputs and tokenizes. SMI_BAD_INPUT names the input, what was wanted and what came.
  static Status Make(const smi_execute_params& params, const smi_output_sink& sink,
                     const Vocabulary& vocabulary, uint32_t context_length, std::unique_ptr<Embedding>* call);

  const std::vector<std::vector<int32_t>>& texts() const { return texts_; }
  uint32_t n_threads() const { return n_threads_; }
  // Memory for texts().size() vectors of `width` numbers: the host's when it has some. Valid until Done().
  float* Vectors(uint32_t width);

  // Calls sink.output() when `status` is OK, then sink.done(), after `counters` are up to date. Last.
  void Done(Status status, int64_t started_ns, Counters* counters);

 private:
  Embedding(const smi_execute_params& params, const smi_output_sink& sink);

  smi_output_sink sink_;
  const uint32_t n_threads_;
  const int64_t accepted_ns_;
  std::vector<std::vector<int32_t>> texts_;
  std::vector<float> own_;
  float* vectors_ = nullptr;
  uint32_t width_ = 0;
};

}  // namespace mlos::llama
