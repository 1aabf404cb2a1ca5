// SPDX-License-Identifier: Apache-2.0
// A GGUF header: what is accepted lies inside the file, and a plan made from it neither wraps around nor promises nothing.
#include "gguf_header.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mlos::llama;
  MemorySource source(std::string_view(reinterpret_cast<const char*>(data), size));
  std::vector<GgufHeader> headers(1);
  if (!GgufHeader::Read(source, &headers[0]).ok()) return 0;
  const GgufHeader& header = headers[0];
  if (header.file_bytes() != size) std::abort();
  for (const GgufTensor& tensor : header.tensors()) {
    const uint64_t data_bytes = size > header.header_bytes() ? size - header.header_bytes() : 0;
    if (tensor.offset > data_bytes || tensor.size_bytes > data_bytes - tensor.offset) std::abort();
  }
  for (const auto& [key, value] : header.pairs()) {
    if (const auto* array = std::get_if<GgufArray>(&value); array != nullptr && array->count > size)
      std::abort();
    header.Largest(key);
  }
  ModelPlan plan;
  if (!MakePlan(headers, LoadOptions{.n_threads = 1}, &plan).ok()) return 0;
  if (plan.context_length == 0 || plan.max_sequences == 0 || plan.batch == 0) std::abort();
  if (plan.private_bytes() < plan.cache_bytes || plan.mapped_bytes < size) std::abort();
  return 0;
}
