// SPDX-License-Identifier: Apache-2.0
// Reads the golden files that the framework wrote (tests/models, tests/convert/variants).
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "ort_session.h"

namespace mlos::convert {

struct GoldenCase {
  std::string name;
  std::map<std::string, IntTensor> inputs;
  std::map<std::string, FloatTensor> outputs;
  std::set<int64_t> finite_only_rows;  // whose values the framework leaves open
};

template <typename T>
void Flatten(simdjson::dom::element element, size_t depth, std::vector<int64_t>* shape,
             std::vector<T>* values) {
  simdjson::dom::array array;
  if (element.get_array().get(array) != simdjson::SUCCESS) {
    if constexpr (std::is_same_v<T, float>) {
      values->push_back(static_cast<float>(element.get_double().value()));
    } else {
      values->push_back(element.get_int64().value());
    }
    return;
  }
  if (shape->size() == depth) shape->push_back(static_cast<int64_t>(array.size()));
  for (simdjson::dom::element inner : array) Flatten(inner, depth + 1, shape, values);
}

inline std::vector<GoldenCase> ReadGolden(const std::filesystem::path& file) {
  simdjson::dom::parser parser;
  std::vector<GoldenCase> cases;
  for (simdjson::dom::object object : parser.load(file.string())["cases"].get_array()) {
    GoldenCase golden;
    golden.name = std::string_view(object["name"]);
    for (const auto& [name, value] : object["inputs"].get_object()) {
      IntTensor& tensor = golden.inputs[std::string(name)];
      Flatten(value, 0, &tensor.shape, &tensor.values);
    }
    for (const auto& [name, value] : object["outputs"].get_object()) {
      FloatTensor& tensor = golden.outputs[std::string(name)];
      Flatten(value, 0, &tensor.shape, &tensor.values);
    }
    simdjson::dom::array rows;
    if (object["finite_only_rows"].get_array().get(rows) == simdjson::SUCCESS) {
      for (const int64_t row : rows) golden.finite_only_rows.insert(row);
    }
    cases.push_back(std::move(golden));
  }
  return cases;
}

}  // namespace mlos::convert
