// SPDX-License-Identifier: Apache-2.0
// A safetensors header: what is accepted keeps the promises of convert/safetensors.h.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = mlos::convert::ParseSafetensors(std::as_bytes(std::span(data, size)));
  if (!header.ok()) return 0;
  uint64_t end = header->tensors.empty() ? size : header->tensors.front().offset;
  for (const mlos::convert::TensorEntry& tensor : header->tensors) {
    const auto bytes = mlos::TensorBytes(tensor.dtype, tensor.shape);
    if (tensor.offset != end || !bytes.ok() || *bytes != tensor.size_bytes) std::abort();
    end += tensor.size_bytes;
  }
  if (end != size) std::abort();
  return 0;
}
