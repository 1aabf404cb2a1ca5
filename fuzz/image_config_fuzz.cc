// SPDX-License-Identifier: Apache-2.0
// preprocessor_config.json: what is accepted has sizes that a picture can have.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "preprocess/image_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto config = mlos::preprocess::ParseImageConfig(json);
  if (!config.ok()) return 0;
  if (config->size.size() > 2 || config->size.empty() != config->resize.empty()) std::abort();
  if (!config->crop.empty() && config->crop.size() != 2) std::abort();
  for (const int64_t side : config->size) {
    if (side < 1) std::abort();
  }
  for (const int64_t side : config->crop) {
    if (side < 1) std::abort();
  }
  return 0;
}
