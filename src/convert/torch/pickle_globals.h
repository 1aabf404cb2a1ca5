// SPDX-License-Identifier: Apache-2.0
// Which names of classes and functions a checkpoint's pickle may mention. Mentioning is all: nothing is looked up or called.
#pragma once

#include <string_view>

namespace mlos::convert {

enum class GlobalKind {
  kKnown,      // what torch.save writes: rebuilds tensors, names storages and dtypes, or is plain data
  kDangerous,  // runs code, opens files or the network: the pickle is an attack
  kUnknown,
};

// `module` and `name` as the pickle gives them ("torch._utils", "_rebuild_tensor_v2"). Classes of a TorchScript archive
// (__torch__.*) and of torch.nn are known: they are boxes with attributes here.
GlobalKind ClassifyGlobal(std::string_view module, std::string_view name);

}  // namespace mlos::convert
