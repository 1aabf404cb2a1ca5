// SPDX-License-Identifier: Apache-2.0
// The files by which a sentence-transformers repository says what follows the encoder: modules.json and one folder a module.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::preprocess {

struct SentenceModule {
  enum class Kind { kTransformer, kPooling, kDense, kNormalize };
  Kind kind = Kind::kTransformer;
  std::string path;  // folder inside the package; "" = the package itself
};

// In order; empty when there is no modules.json. kUnimplemented names a module class that is not supported, kDataLoss damage
// (also a path that leaves the package).
Result<std::vector<SentenceModule>> ReadSentenceModules(const std::filesystem::path& package_dir);
Result<std::vector<SentenceModule>> ParseSentenceModules(std::string_view json);

// The modes of a Pooling module's config.json, in the order their vectors are put together: "cls", "max", "mean",
// "mean_sqrt_len_tokens", "weightedmean", "lasttoken". kUnimplemented for others.
Result<std::vector<std::string>> ReadPoolingModes(const std::filesystem::path& package_dir,
                                                  const SentenceModule& module);
Result<std::vector<std::string>> ParsePoolingModes(std::string_view json);

struct DenseConfig {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
  std::string activation;  // "identity", "tanh", "relu", "gelu", "sigmoid"
};
Result<DenseConfig> ReadDenseConfig(const std::filesystem::path& package_dir, const SentenceModule& module);

}  // namespace mlos::preprocess
