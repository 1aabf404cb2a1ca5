// SPDX-License-Identifier: Apache-2.0
#include "preprocess/sentence_modules.h"

#include <array>
#include <utility>

#include "os/file.h"
#include "preprocess/json_file.h"

namespace mlos::preprocess {
namespace {

namespace dom = simdjson::dom;

constexpr char kModules[] = "modules.json";
constexpr size_t kMaxModules = 64;

// The package itself or one folder in it.
bool IsInnerFolder(std::string_view path) {
  if (path.empty()) return true;
  if (path.size() > 255 || path.front() == '.') return false;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '/' || c == '\\') return false;
  }
  return true;
}

Result<SentenceModule::Kind> KindOf(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, SentenceModule::Kind>, 4> kKinds = {{
      {"Transformer", SentenceModule::Kind::kTransformer},
      {"Pooling", SentenceModule::Kind::kPooling},
      {"Dense", SentenceModule::Kind::kDense},
      {"Normalize", SentenceModule::Kind::kNormalize},
  }};
  // Classes of the library only: the last name of a class of the repository's own code says nothing.
  if (type.starts_with("sentence_transformers.")) {
    for (const auto& [name, kind] : kKinds) {
      if (type.substr(type.rfind('.') + 1) == name) return kind;
    }
  }
  return Unimplemented(
      std::string(kModules) + ": module '" + std::string(type) +
      "' is not supported; supported: Transformer, Pooling, Dense, Normalize of sentence_transformers");
}

std::string ConfigOf(const SentenceModule& module) {
  return module.path.empty() ? "config.json" : module.path + "/config.json";
}

Status CheckMode(std::string_view mode) {
  for (const char* known : {"cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"}) {
    if (mode == known) return OkStatus();
  }
  return Unimplemented(
      "pooling mode '" + std::string(mode) +
      "' is not supported; supported: cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken");
}

// "pooling_mode": one mode or a list of them.
Result<std::vector<std::string>> NamedModes(dom::element value) {
  std::vector<std::string> modes;
  std::string_view mode;
  dom::array array;
  if (value.get_string().get(mode) == simdjson::SUCCESS) {
    modes.emplace_back(mode);
  } else if (value.get_array().get(array) == simdjson::SUCCESS) {
    for (dom::element element : array) {
      if (element.get_string().get(mode) != simdjson::SUCCESS)
        return DataLoss("pooling: 'pooling_mode' holds no texts");
      modes.emplace_back(mode);
    }
  }
  if (modes.empty()) return DataLoss("pooling: 'pooling_mode' is neither a text nor a list of texts");
  for (const std::string& name : modes) MLOS_RETURN_IF_ERROR(CheckMode(name));
  return modes;
}

Result<std::vector<std::string>> FlaggedModes(dom::object object) {
  // In the order in which the framework puts the vectors together.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kFlags = {{
      {"pooling_mode_cls_token", "cls"},
      {"pooling_mode_max_tokens", "max"},
      {"pooling_mode_mean_tokens", "mean"},
      {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
      {"pooling_mode_weightedmean_tokens", "weightedmean"},
      {"pooling_mode_lasttoken", "lasttoken"},
  }};
  std::vector<std::string> modes;
  for (const auto& [key, mode] : kFlags) {
    bool on = false;
    dom::element value;
    if (object[key].get(value) != simdjson::SUCCESS || value.is_null()) continue;
    if (value.get_bool().get(on) != simdjson::SUCCESS)
      return DataLoss("pooling: '" + std::string(key) + "' is not true or false");
    if (on) modes.emplace_back(mode);
  }
  for (const auto& [key, value] : object) {
    bool on = false;
    if (!key.starts_with("pooling_mode_") || value.get_bool().get(on) != simdjson::SUCCESS || !on) continue;
    bool known = false;
    for (const auto& [flag, mode] : kFlags) known = known || flag == key;
    if (!known) return Unimplemented("pooling: '" + std::string(key) + "' is not supported");
  }
  if (modes.empty()) modes.emplace_back("mean");
  return modes;
}

}  // namespace

Result<std::vector<SentenceModule>> ParseSentenceModules(std::string_view json) {
  MLOS_ASSIGN_OR_RETURN(const JsonDocument document, ParseJson(json, kModules));
  dom::array array;
  if (document.root.get_array().get(array) != simdjson::SUCCESS)
    return DataLoss(std::string(kModules) + " is not a list");
  std::vector<SentenceModule> modules;
  for (dom::element element : array) {
    dom::object object;
    std::string_view type;
    std::string_view path;
    if (element.get_object().get(object) != simdjson::SUCCESS ||
        object["type"].get_string().get(type) != simdjson::SUCCESS ||
        object["path"].get_string().get(path) != simdjson::SUCCESS) {
      return DataLoss(std::string(kModules) + ": an entry without the texts 'type' and 'path'");
    }
    if (!IsInnerFolder(path)) {
      return DataLoss(std::string(kModules) + ": path '" + std::string(path) +
                      "' is not a folder of the package");
    }
    if (modules.size() == kMaxModules) return DataLoss(std::string(kModules) + " has more than 64 entries");
    MLOS_ASSIGN_OR_RETURN(const SentenceModule::Kind kind, KindOf(type));
    modules.push_back({kind, std::string(path)});
  }
  if (modules.empty() || modules.front().kind != SentenceModule::Kind::kTransformer) {
    return Unimplemented(std::string(kModules) + " does not begin with a Transformer");
  }
  return modules;
}

Result<std::vector<SentenceModule>> ReadSentenceModules(const std::filesystem::path& package_dir) {
  if (!os::Exists(package_dir / kModules)) return std::vector<SentenceModule>{};
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(package_dir / kModules, kMaxJsonFileBytes));
  return ParseSentenceModules(json);
}

Result<std::vector<std::string>> ParsePoolingModes(std::string_view json) {
  MLOS_ASSIGN_OR_RETURN(const JsonDocument document, ParseJson(json, "pooling configuration"));
  dom::object object;
  if (document.root.get_object().get(object) != simdjson::SUCCESS)
    return DataLoss("pooling configuration is not an object");
  dom::element named;
  if (object["pooling_mode"].get(named) == simdjson::SUCCESS && !named.is_null()) return NamedModes(named);
  return FlaggedModes(object);
}

Result<std::vector<std::string>> ReadPoolingModes(const std::filesystem::path& package_dir,
                                                  const SentenceModule& module) {
  const std::string file = ConfigOf(module);
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(package_dir / file, kMaxJsonFileBytes));
  Result<std::vector<std::string>> modes = ParsePoolingModes(json);
  if (!modes.ok()) return modes.status().WithContext(file);
  return modes;
}

Result<DenseConfig> ReadDenseConfig(const std::filesystem::path& package_dir, const SentenceModule& module) {
  const std::string file = ConfigOf(module);
  MLOS_ASSIGN_OR_RETURN(const JsonDocument document, ReadJson(package_dir, file));
  dom::object object;
  DenseConfig config;
  constexpr int64_t kMaxWidth = 1 << 24;
  if (document.root.get_object().get(object) != simdjson::SUCCESS ||
      object["in_features"].get_int64().get(config.in_features) != simdjson::SUCCESS ||
      object["out_features"].get_int64().get(config.out_features) != simdjson::SUCCESS ||
      config.in_features < 1 || config.in_features > kMaxWidth || config.out_features < 1 ||
      config.out_features > kMaxWidth) {
    return DataLoss(file + " has no sizes 'in_features' and 'out_features'");
  }
  dom::element value;
  if (object["bias"].get(value) == simdjson::SUCCESS &&
      value.get_bool().get(config.bias) != simdjson::SUCCESS) {
    return DataLoss(file + ": 'bias' is not true or false");
  }
  bool residual = false;
  if (object["use_residual"].get_bool().get(residual) == simdjson::SUCCESS && residual) {
    return Unimplemented(file + ": 'use_residual' is true; not supported");
  }
  std::string_view text;
  for (const char* key : {"module_input_name", "module_output_name"}) {
    if (object[key].get_string().get(text) == simdjson::SUCCESS && text != "sentence_embedding") {
      return Unimplemented(file + ": '" + key + "' is '" + std::string(text) +
                           "'; supported: sentence_embedding");
    }
  }
  std::string_view activation = "torch.nn.modules.activation.Tanh";
  if (object["activation_function"].get(value) == simdjson::SUCCESS &&
      value.get_string().get(activation) != simdjson::SUCCESS) {
    return DataLoss(file + ": 'activation_function' is not a text");
  }
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kActivations = {{
      {"torch.nn.modules.linear.Identity", "identity"},
      {"torch.nn.modules.activation.Tanh", "tanh"},
      {"torch.nn.modules.activation.ReLU", "relu"},
      {"torch.nn.modules.activation.GELU", "gelu"},
      {"torch.nn.modules.activation.Sigmoid", "sigmoid"},
  }};
  for (const auto& [name, function] : kActivations) {
    if (name == activation) config.activation = function;
  }
  if (config.activation.empty()) {
    return Unimplemented(file + ": 'activation_function' is '" + std::string(activation) +
                         "'; supported: Identity, Tanh, ReLU, GELU, Sigmoid of torch.nn.modules");
  }
  return config;
}

}  // namespace mlos::preprocess
