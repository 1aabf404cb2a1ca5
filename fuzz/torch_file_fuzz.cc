// SPDX-License-Identifier: Apache-2.0
// A file of torch.save: every element of every tensor that is accepted lies inside the file.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "convert/torch/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tensors = mlos::convert::ReadTorchFile(std::as_bytes(std::span(data, size)));
  if (!tensors.ok()) return 0;
  for (const mlos::convert::TorchTensor& tensor : *tensors) {
    const auto bytes = mlos::TensorBytes(tensor.dtype, tensor.shape);
    if (!bytes.ok() || *bytes != tensor.size_bytes) std::abort();
    if (tensor.size_bytes == 0) continue;
    uint64_t reach = tensor.size_bytes;
    if (!tensor.strides.empty()) {
      reach = mlos::DTypeSize(tensor.dtype);
      for (size_t i = 0; i < tensor.shape.size(); ++i) {
        reach += static_cast<uint64_t>(tensor.shape[i] - 1) * static_cast<uint64_t>(tensor.strides[i]) *
                 mlos::DTypeSize(tensor.dtype);
      }
    }
    if (tensor.offset > size || reach > size - tensor.offset) std::abort();
  }
  return 0;
}
