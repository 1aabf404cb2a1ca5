// SPDX-License-Identifier: Apache-2.0
// Small JSON files of a package, read as simdjson documents. For sources only: no header of another folder includes this.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/status.h"

namespace mlos::preprocess {

inline constexpr uint64_t kMaxJsonFileBytes = 16'000'000;

struct JsonDocument {
  std::unique_ptr<simdjson::dom::parser> parser;
  simdjson::dom::element root;
};

// `file` is for messages. kDataLoss when it is not JSON. Whole numbers beyond 64 bits are read as doubles: Python writes
// "no limit" as 1000000000000000019884624838656.
Result<JsonDocument> ParseJson(std::string_view json, std::string_view file);
// kNotFound when there is no such file.
Result<JsonDocument> ReadJson(const std::filesystem::path& package_dir, const std::string& file);

}  // namespace mlos::preprocess
