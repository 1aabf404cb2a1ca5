// SPDX-License-Identifier: Apache-2.0
// What torch.save and torch.jit.save write, read without torch: names, dtypes, shapes, and where the bytes lie.
//
//   file   = zip | legacy
//   zip    (torch >= 1.6, TorchScript) = archive of ROOT/data.pkl, ROOT/data/KEY (one a storage), ROOT/byteorder, ...
//   legacy (torch 0.4 to 1.5) = pickle(0x1950a86a20f9469cfc6c) pickle(1001) pickle({"little_endian": True, ...})
//            pickle(object) pickle([KEY, ...]) (elements:u64le bytes)*      one a key, in that order
//
// Tensor bytes are not touched. Nothing of the pickle is executed (pickle.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/tensor.h"

namespace mlos::convert {

struct TorchTensor {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;
  // Elements between neighbours, one a dimension; empty when the bytes lie in row-major order.
  Shape strides;
  uint64_t offset = 0;      // of the first element, from the start of the file
  uint64_t size_bytes = 0;  // of all elements in row-major order
};

// True when the bytes begin as one of the two.
bool LooksLikeTorchFile(std::span<const std::byte> file);

// Tensors may share bytes. Every element lies inside the file. kPermissionDenied: the pickle is an attack (names what it
// calls). kDataLoss: damaged or lying. kUnimplemented: names what is not supported. kTooLarge: over a limit of pickle.h, or
// strided tensors that would grow to several times the file.
Result<std::vector<TorchTensor>> ReadTorchFile(std::span<const std::byte> file);

}  // namespace mlos::convert
