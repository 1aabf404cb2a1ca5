// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <charconv>
#include <utility>
#include <vector>

#include "errors.h"

namespace mlos_ort {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kMaxCacheMiB = 1 << 30;

[[noreturn]] void BadValue(const smi_option& option, const std::string& wanted) {
  throw Failure(SMI_INVALID_ARGUMENT, "option '" + std::string(View(option.name)) + "': wanted " + wanted +
                                          ", got '" + std::string(View(option.value).substr(0, 64)) + "'");
}

[[noreturn]] void UnknownOption(const smi_option& option, const std::string& known) {
  throw Failure(SMI_INVALID_ARGUMENT,
                "unknown option '" + std::string(View(option.name).substr(0, 64)) + "'; there are: " + known);
}

int Number(const smi_option& option, int low, int high) {
  const std::string_view text = View(option.value);
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size() || value < low ||
      value > high) {
    BadValue(option, "a number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

template <typename T>
T Choice(const smi_option& option, const std::vector<std::pair<const char*, T>>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (View(option.value) == name) return value;
    names += std::string(names.empty() ? "" : "|") + name;
  }
  BadValue(option, names);
}

// Absolute, or empty for none.
std::string Folder(const smi_option& option) {
  std::string out(View(option.value));
  if (!out.empty() &&
      (out[0] != '/' || out.find('\0') != std::string::npos || out.find('\n') != std::string::npos)) {
    BadValue(option, "an absolute path");
  }
  return out;
}

bool Switch(const smi_option& option) { return Choice<bool>(option, {{"on", true}, {"off", false}}); }

}  // namespace

PluginOptions ParsePluginOptions(const smi_option* options, uint32_t n_options) {
  PluginOptions out;
  for (uint32_t i = 0; i < n_options; ++i) {
    const std::string_view name = View(options[i].name);
    if (name == "threads") {
      out.threads = Number(options[i], 0, kMaxThreads);
    } else if (name == "spin") {
      using Spin = PluginOptions::Spin;
      out.spin = Choice<Spin>(options[i], {{"off", Spin::kOff}, {"on", Spin::kOn}, {"run", Spin::kRun}});
    } else if (name == "weight_cache_dir") {
      out.weight_cache_dir = Folder(options[i]);
    } else if (name == "weight_cache_limit") {
      out.weight_cache_limit_bytes =
          uint64_t{1 << 20} * static_cast<uint64_t>(Number(options[i], 0, kMaxCacheMiB));
    } else if (name == "weight_cache_write") {
      out.weight_cache_write = Switch(options[i]);
    } else if (name == "weight_cache_build_dir") {
      out.weight_cache_build_dir = Folder(options[i]);
    } else {
      UnknownOption(options[i],
                    "threads, spin, weight_cache_dir, weight_cache_limit, weight_cache_write, "
                    "weight_cache_build_dir");
    }
  }
  return out;
}

ModelOptions ParseModelOptions(const smi_option* options, uint32_t n_options) {
  ModelOptions out;
  for (uint32_t i = 0; i < n_options; ++i) {
    const std::string_view name = View(options[i].name);
    if (name == "optimization") {
      out.optimization = Choice<GraphOptimizationLevel>(options[i], {{"off", ORT_DISABLE_ALL},
                                                                     {"basic", ORT_ENABLE_BASIC},
                                                                     {"extended", ORT_ENABLE_EXTENDED},
                                                                     {"all", ORT_ENABLE_ALL}});
    } else if (name == "prepack") {
      out.prepack = Switch(options[i]);
    } else if (name == "arena") {
      using Arena = ModelOptions::Arena;
      out.arena = Choice<Arena>(
          options[i],
          {{"auto", Arena::kAuto}, {"on", Arena::kOn}, {"off", Arena::kOff}, {"shrink", Arena::kShrink}});
    } else if (name == "weight_cache") {
      using Cache = ModelOptions::Cache;
      out.cache =
          Choice<Cache>(options[i], {{"auto", Cache::kAuto}, {"on", Cache::kOn}, {"off", Cache::kOff}});
    } else {
      UnknownOption(options[i], "optimization, prepack, arena, weight_cache");
    }
  }
  return out;
}

}  // namespace mlos_ort
