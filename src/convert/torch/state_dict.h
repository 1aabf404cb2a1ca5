// SPDX-License-Identifier: Apache-2.0
// The tensors that a pickle of torch.save describes: which part of which storage, by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "convert/torch/pickle.h"
#include "tensor/tensor.h"

namespace mlos::convert {

// A block of bytes that tensors are views of; `key` names it in the file.
struct TorchStorage {
  std::string_view key;  // borrows the pickle
  DType dtype = DType::kInvalid;
  uint64_t element_count = 0;
  uint64_t size_bytes = 0;
};

struct StoredTensor {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;
  Shape strides;                // elements, one a dimension
  uint64_t storage_offset = 0;  // elements
  TorchStorage storage;
};

// The storage that a persistent id describes. kUnimplemented for quantised and complex ones.
Result<TorchStorage> ReadStorage(const Pickle& pickle, PickleRef persistent);

// Every tensor of the state dict, which may lie under "state_dict", "model" ... or in the attributes of a pickled or scripted
// module. Names lose a "module." or "_orig_mod." that all of them begin with. What is no tensor is left out. Every view lies
// inside its storage. kDataLoss when it does not, kUnimplemented, naming the tensor, for sparse and quantised ones.
Result<std::vector<StoredTensor>> ReadStateDict(const Pickle& pickle);

}  // namespace mlos::convert
