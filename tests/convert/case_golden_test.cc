// SPDX-License-Identifier: Apache-2.0
// Every folder of tests/models/convert: converted, it gives in ONNX Runtime what PyTorch gives.
//
// A folder is a checkpoint as Hugging Face lays it out, with golden.safetensors (the task config.json asks for) and
// golden.<task>.safetensors (that task). In those files `<case>/in/<name>` is an input, `<case>/out/<name>` an output, and
// `<case>/finite_only` lists the rows whose numbers are the implementation's own business as long as they are finite.
// Inputs and outputs must be exactly those of the graph. Of a model of several graphs a case is named `<graph>@<case>`, graph being
// the file's name without .onnx; every graph must have a case.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/safetensors.h"
#include "golden.h"
#include "ort_session.h"
#include "os/mapped_file.h"
#include "package.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = fs::path(MLOS_SOURCE_DIR) / "tests/models/convert";

struct TypedCase {
  std::map<std::string, TypedTensor> inputs;
  std::map<std::string, FloatTensor> outputs;
  std::set<int64_t> finite_only_rows;
};

ONNXTensorElementDataType OnnxType(DType dtype) {
  switch (dtype) {
    case DType::kFp32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case DType::kInt64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case DType::kInt32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case DType::kBool:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
    default:
      ADD_FAILURE() << "golden inputs are F32, I64, I32 or BOOL, not " << DTypeName(dtype);
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  }
}

template <typename T>
std::vector<T> Values(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::map<std::string, TypedCase> ReadCases(const fs::path& file) {
  std::map<std::string, TypedCase> cases;
  const auto mapped = os::MappedFile::Open(file);
  if (!mapped.ok()) return cases;
  const auto header = ParseSafetensors(mapped->bytes());
  EXPECT_TRUE(header.ok()) << file << ": " << header.status().ToString();
  if (!header.ok()) return cases;
  for (const TensorEntry& entry : header->tensors) {
    const auto bytes = mapped->bytes().subspan(entry.offset, entry.size_bytes);
    const size_t slash = entry.name.find('/');
    TypedCase& golden = cases[entry.name.substr(0, slash)];
    const std::string rest = entry.name.substr(std::min(slash, entry.name.size() - 1) + 1);
    if (rest.starts_with("in/")) {
      golden.inputs[rest.substr(3)] = {OnnxType(entry.dtype), entry.shape, {bytes.begin(), bytes.end()}};
    } else if (rest.starts_with("out/") && entry.dtype == DType::kFp32) {
      golden.outputs[rest.substr(4)] = {entry.shape, Values<float>(bytes)};
    } else if (rest == "finite_only" && entry.dtype == DType::kInt64) {
      for (const int64_t row : Values<int64_t>(bytes)) golden.finite_only_rows.insert(row);
    } else {
      ADD_FAILURE() << file << ": tensor '" << entry.name << "' is nothing a golden file holds";
    }
  }
  return cases;
}

template <typename T>
std::vector<std::string> Names(const std::map<std::string, T>& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

// "encoder_model" of "encoder_model@right_padding"; "model" of "right_padding".
std::string GraphOf(const std::string& name) {
  const size_t at = name.find('@');
  return at == std::string::npos ? "model" : name.substr(0, at);
}

// The worst difference.
float CheckCase(OrtSession& session, const std::string& name, const TypedCase& golden, size_t* compared) {
  EXPECT_THAT(session.inputs(), ::testing::UnorderedElementsAreArray(Names(golden.inputs))) << name;
  EXPECT_THAT(session.outputs(), ::testing::UnorderedElementsAreArray(Names(golden.outputs))) << name;
  if (::testing::Test::HasFailure()) return 0;
  const auto answers = session.RunTyped(golden.inputs);
  float worst = 0;
  for (const auto& [output, wanted] : golden.outputs) {
    const float difference =
        ExpectClose(name + "/" + output, wanted, answers.at(output), golden.finite_only_rows);
    worst = std::max(worst, difference);
    ++*compared;
  }
  return worst;
}

void CheckFile(const fs::path& folder, const fs::path& golden_file, const std::string& task) {
  SCOPED_TRACE(golden_file.filename().string());
  Package package(folder);
  ASSERT_TRUE(package.ConvertInPlace(task));
  EXPECT_TRUE(task.empty() || package.result.task == task) << package.result.task;
  const auto cases = ReadCases(golden_file);
  ASSERT_FALSE(cases.empty()) << golden_file;
  float worst = 0;
  size_t compared = 0;
  std::set<std::string> graphs;
  for (const ConvertedGraph& graph : package.result.graphs) {
    const std::string stem = fs::path(graph.file).stem().string();
    const auto session = package.OpenGraph(graph);
    for (const auto& [name, golden] : cases) {
      if (GraphOf(name) != stem) continue;
      graphs.insert(stem);
      worst = std::max(worst, CheckCase(*session, name, golden, &compared));
    }
    EXPECT_TRUE(graphs.contains(stem)) << "no case for " << graph.file;
  }
  for (const auto& [name, golden] : cases) EXPECT_TRUE(graphs.contains(GraphOf(name))) << name;
  std::cout << folder.filename().string() << " " << package.result.task << ": " << cases.size() << " cases, "
            << compared << " outputs, worst difference " << worst << "\n";
}

std::vector<std::string> CaseFolders() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kCases)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class CaseGoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CaseGoldenTest, EqualsPyTorch) {
  const fs::path folder = kCases / GetParam();
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("golden.") || !name.ends_with(".safetensors")) continue;
    const std::string middle = name.substr(6, name.size() - 6 - std::string(".safetensors").size());
    CheckFile(folder, entry.path(), middle.empty() ? "" : middle.substr(1));
    ++files;
  }
  EXPECT_GT(files, 0U) << "no golden.safetensors in " << folder;
}

std::string TestName(const ::testing::TestParamInfo<std::string>& folder) {
  std::string name = folder.param;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, CaseGoldenTest, ::testing::ValuesIn(CaseFolders()), TestName);

}  // namespace
}  // namespace mlos::convert
