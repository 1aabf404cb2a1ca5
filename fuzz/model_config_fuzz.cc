// SPDX-License-Identifier: Apache-2.0
// config.json of a model repository: every getter on whatever was parsed.
#include <cstdint>
#include <cstdlib>

#include "convert/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = mlos::convert::Config::Parse({reinterpret_cast<const char*>(data), size});
  if (!config.ok()) return 0;
  for (const char* key :
       {"hidden_size", "layer_norm_eps", "hidden_act", "architectures", "is_decoder", "pruned_heads", "x"}) {
    const auto number = config->Int(key, 1, 0, 100);
    if (number.ok() && (*number < 0 || *number > 100)) std::abort();
    const auto real = config->Number(key, 0.5, 0, 1);
    if (real.ok() && !(*real >= 0 && *real <= 1)) std::abort();
    (void)config->String(key, "");
    (void)config->Strings(key);
    (void)config->Bool(key, false);
    (void)config->RequireOneOf(key, {"gelu"}).ok();
    (void)config->RequireEmpty(key).ok();
  }
  return 0;
}
