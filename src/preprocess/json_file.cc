// SPDX-License-Identifier: Apache-2.0
#include "preprocess/json_file.h"

#include "os/file.h"

namespace mlos::preprocess {
namespace {

constexpr size_t kLongestPlainDigits = 18;  // always fit 64 bits

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The same text with ".0" behind whole numbers of more than 18 digits, so that they are read as doubles.
std::string WidenLongIntegers(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 16);
  bool in_string = false;
  for (size_t i = 0; i < json.size();) {
    if (in_string || !IsDigit(json[i])) {
      if (in_string && json[i] == '\\' && i + 1 < json.size())
        out.push_back(json[i++]);
      else if (json[i] == '"')
        in_string = !in_string;
      out.push_back(json[i++]);
      continue;
    }
    const size_t begin = i;
    while (i < json.size() && IsDigit(json[i])) ++i;
    const size_t digits = i - begin;
    const bool fraction = i < json.size() && (json[i] == '.' || json[i] == 'e' || json[i] == 'E');
    const bool after_fraction = begin > 0 && (json[begin - 1] == '.' || json[begin - 1] == 'e' ||
                                              json[begin - 1] == 'E' || json[begin - 1] == '+');
    out.append(json.substr(begin, digits));
    if (digits > kLongestPlainDigits && !fraction && !after_fraction) out.append(".0");
  }
  return out;
}

}  // namespace

Result<JsonDocument> ParseJson(std::string_view json, std::string_view file) {
  JsonDocument document;
  document.parser = std::make_unique<simdjson::dom::parser>();
  auto error = document.parser->parse(simdjson::padded_string(json)).get(document.root);
  if (error == simdjson::NUMBER_ERROR) {
    error = document.parser->parse(simdjson::padded_string(WidenLongIntegers(json))).get(document.root);
  }
  if (error != simdjson::SUCCESS) {
    return DataLoss(std::string(file) + " is not valid JSON: " + simdjson::error_message(error));
  }
  return document;
}

Result<JsonDocument> ReadJson(const std::filesystem::path& package_dir, const std::string& file) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(package_dir / file, kMaxJsonFileBytes));
  return ParseJson(json, file);
}

}  // namespace mlos::preprocess
