// SPDX-License-Identifier: Apache-2.0
// model.safetensors.index.json: no accepted file name leaves its folder.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "convert/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto shards = mlos::convert::ParseShardIndex({reinterpret_cast<const char*>(data), size});
  if (!shards.ok()) return 0;
  for (const auto& [tensor, file] : *shards) {
    if (file.empty() || file.front() == '.' ||
        file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      std::abort();
  }
  return 0;
}
