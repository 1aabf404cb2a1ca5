// SPDX-License-Identifier: Apache-2.0
// Small JSON files of a package, read as simdjson documents. For the sources of this folder only.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/status.h"
#include "os/file.h"

namespace mlos::preprocess {

inline constexpr uint64_t kMaxJsonFileBytes = 16'000'000;

struct JsonDocument {
  std::unique_ptr<simdjson::dom::parser> parser;
  simdjson::dom::element root;
};

// `file` is for messages. kDataLoss when it is not JSON.
inline Result<JsonDocument> ParseJson(std::string_view json, std::string_view file) {
  JsonDocument document;
  document.parser = std::make_unique<simdjson::dom::parser>();
  const simdjson::padded_string padded(json);
  if (const auto error = document.parser->parse(padded).get(document.root); error != simdjson::SUCCESS) {
    return DataLoss(std::string(file) + " is not valid JSON: " + simdjson::error_message(error));
  }
  return document;
}

inline Result<JsonDocument> ReadJson(const std::filesystem::path& package_dir, const std::string& file) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(package_dir / file, kMaxJsonFileBytes));
  return ParseJson(json, file);
}

}  // namespace mlos::preprocess
