// SPDX-License-Identifier: Apache-2.0
// Options of the plugin and of a model: parsed, checked, explained in README.md. Unknown names and values are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "onnxruntime_cxx_api.h"
#include "smi/smi.h"

namespace mlos_ort {

inline std::string_view View(smi_str text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
}

// For open(): what all models share.
struct PluginOptions {
  int threads =
      0;  // of the process-wide pool, the calling thread included; 0 = as many as this process has CPUs
  // Whether idle threads spin before they sleep: never, always, or for a moment while a call of their model runs.
  enum class Spin { kOff, kOn, kRun };
  Spin spin = Spin::kRun;
  // Weight cache (weight_cache.h); without a folder there is none.
  std::string weight_cache_dir;
  uint64_t weight_cache_limit_bytes = uint64_t{32} << 30;
  bool weight_cache_write = true;
  std::string
      weight_cache_build_dir;  // entries are made here, for the host to move in; the cache is only read then
};

// For load().
struct ModelOptions {
  // kAuto: kShrink for models of a million parameters and more, else kOn.
  enum class Arena { kAuto, kOn, kOff, kShrink };
  GraphOptimizationLevel optimization = ORT_ENABLE_ALL;
  bool prepack = true;
  Arena arena = Arena::kAuto;
  // kAuto: models of 8 MiB and more.
  enum class Cache { kAuto, kOn, kOff };
  Cache cache = Cache::kAuto;
  bool spin_while_running = false;  // from the plugin's options
};

// Throws Failure (SMI_INVALID_ARGUMENT) naming the option and the values it takes.
PluginOptions ParsePluginOptions(const smi_option* options, uint32_t n_options);
ModelOptions ParseModelOptions(const smi_option* options, uint32_t n_options);

}  // namespace mlos_ort
