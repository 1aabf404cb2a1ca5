// SPDX-License-Identifier: Apache-2.0
// modules.json and a pooling config.json: no accepted path leaves the package.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "preprocess/sentence_modules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto modules = mlos::preprocess::ParseSentenceModules(json);
  if (modules.ok()) {
    for (const auto& module : *modules) {
      if (module.path.find('/') != std::string::npos || module.path.starts_with(".")) std::abort();
    }
  }
  const auto modes = mlos::preprocess::ParsePoolingModes(json);
  if (modes.ok() && modes->empty()) std::abort();
  return 0;
}
