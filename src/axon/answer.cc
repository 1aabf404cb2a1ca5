// SPDX-License-Identifier: Apache-2.0
#include "axon/answer.h"

#include <simdjson.h>

#include <cstdio>

#include "axon/format.h"

namespace mlos::axon {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kShownValues = 8;

std::string ValueText(dom::element value) {
  if (int64_t whole = 0; value.is_int64() && value.get(whole) == simdjson::SUCCESS)
    return std::to_string(whole);
  if (double number = 0; value.get(number) == simdjson::SUCCESS) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", number);
    return text;
  }
  if (std::string_view text; value.get(text) == simdjson::SUCCESS)
    return '"' + Plain(text.substr(0, 80)) + '"';
  return simdjson::minify(value);
}

std::string OutputLine(std::string_view name, dom::element output) {
  std::string line = Plain(name);
  if (std::string_view datatype; output["datatype"].get(datatype) == simdjson::SUCCESS)
    line += "  " + Plain(datatype);
  if (dom::array shape; output["shape"].get(shape) == simdjson::SUCCESS)
    line += " " + simdjson::minify(shape);
  line += ":";
  dom::array data;
  if (output["data"].get(data) != simdjson::SUCCESS) return line + "\n";
  size_t shown = 0;
  for (dom::element value : data) {
    if (shown++ == kShownValues) {
      line += ", ...";
      break;
    }
    line += (shown == 1 ? " " : ", ") + ValueText(value);
  }
  return line + "\n";
}

}  // namespace

std::string SummarizeAnswer(const std::string& json) {
  dom::parser parser;
  dom::element root;
  dom::object outputs;
  if (parser.parse(json).get(root) != simdjson::SUCCESS || !root.is_object()) return json + "\n";
  if (root["outputs"].get(outputs) != simdjson::SUCCESS) {
    std::string_view text;
    return root["text"].get(text) == simdjson::SUCCESS ? std::string(text) + "\n" : json + "\n";
  }
  std::string out;
  for (const auto& [name, output] : outputs) out += OutputLine(name, output);
  if (dom::array warnings; root["warnings"].get(warnings) == simdjson::SUCCESS) {
    for (dom::element warning : warnings) {
      if (std::string_view text; warning.get(text) == simdjson::SUCCESS)
        out += "warning: " + Plain(text) + "\n";
    }
  }
  return out;
}

}  // namespace mlos::axon
