// SPDX-License-Identifier: Apache-2.0
// Reads the golden files that the framework wrote (tests/models, tests/convert/variants).
#pragma once

#include <algorithm>
#include <cmath>
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

// Every value finite, and within 2e-5 of the largest wanted one where the framework says what it is. Returns the worst
// difference as a part of that largest value (at least 1).
inline float ExpectClose(const std::string& what, const FloatTensor& wanted, const FloatTensor& got,
                         const std::set<int64_t>& finite_only) {
  EXPECT_EQ(wanted.shape, got.shape) << what;
  EXPECT_EQ(wanted.values.size(), got.values.size()) << what;
  if (wanted.values.empty() || wanted.values.size() != got.values.size()) return 1;
  float largest = 1.0F;
  for (const float value : wanted.values) largest = std::max(largest, std::fabs(value));
  const size_t row_values = wanted.values.size() / static_cast<size_t>(wanted.shape.front());
  float worst = 0;
  size_t unbounded = 0;
  for (size_t i = 0; i < wanted.values.size(); ++i) {
    unbounded += std::isfinite(got.values[i]) ? 0 : 1;
    if (finite_only.contains(static_cast<int64_t>(i / row_values))) continue;
    worst = std::max(worst, std::fabs(wanted.values[i] - got.values[i]));
  }
  EXPECT_EQ(unbounded, 0U) << what << " has values that are not finite";
  EXPECT_LE(worst / largest, 2e-5F) << what;
  return worst / largest;
}

}  // namespace mlos::convert
