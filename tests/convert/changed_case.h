// SPDX-License-Identifier: Apache-2.0
// A golden checkpoint in a state that a test has changed, which conversion must refuse.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "convert/safetensors.h"
#include "convert/testing/safetensors_writer.h"
#include "os/directory.h"

namespace mlos::convert {

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A folder of tests/models/convert in a state that a test has changed.
class ChangedCase {
 public:
  explicit ChangedCase(const std::string& name)
      : source_(std::filesystem::path(MLOS_SOURCE_DIR) / "tests/models/convert" / name),
        config_(ReadText(source_ / "config.json")) {
    const std::string bytes = ReadText(source_ / "model.safetensors");
    const auto header = ParseSafetensors(std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(header.ok()) << header.status().ToString();
    if (!header.ok()) return;
    for (const TensorEntry& entry : header->tensors) {
      EXPECT_TRUE(entry.dtype == DType::kFp32 || entry.dtype == DType::kInt64) << entry.name;
      tensors_.push_back({entry.name, entry.dtype == DType::kFp32 ? "F32" : "I64", entry.shape,
                          bytes.substr(entry.offset, entry.size_bytes)});
    }
  }

  // The key must be there or not at all; `value` is JSON.
  ChangedCase& Set(const std::string& key, const std::string& value) {
    const size_t brace = config_.find('{');
    const size_t at = config_.find("\"" + key + "\":");
    if (at != std::string::npos) config_.insert(at + 1, "_");
    config_.insert(brace + 1, "\"" + key + "\": " + value + ",");
    return *this;
  }
  ChangedCase& Drop(const std::string& tensor) {
    EXPECT_EQ(std::erase_if(tensors_, [&](const TensorToWrite& t) { return t.name == tensor; }), 1U)
        << tensor;
    return *this;
  }
  ChangedCase& Add(const std::string& tensor, const Shape& shape) {
    size_t bytes = 4;
    for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
    tensors_.push_back({tensor, "F32", shape, std::string(bytes, '\0')});
    return *this;
  }

  // Converts, which must fail with a message that has both parts.
  void ExpectRefused(const std::string& part, const std::string& other = "", const std::string& task = "") {
    const auto result = Run(task);
    ASSERT_FALSE(result.ok()) << part;
    EXPECT_TRUE(result.status().code() == Code::kUnimplemented || result.status().code() == Code::kDataLoss)
        << result.status().ToString();
    EXPECT_THAT(result.status().message(),
                ::testing::AllOf(::testing::HasSubstr(part), ::testing::HasSubstr(other)));
  }
  Result<ConvertResult> Run(const std::string& task = "") {
    if (!config_.empty()) WriteBytes(dir_.path() / "config.json", config_);
    WriteBytes(dir_.path() / "model.safetensors", SafetensorsBytes(tensors_));
    return Convert(dir_.path(), {task});
  }
  const std::filesystem::path& path() const { return dir_.path(); }

 private:
  const std::filesystem::path source_;
  std::string config_;
  std::vector<TensorToWrite> tensors_;
  os::TemporaryDirectory dir_;
};

}  // namespace mlos::convert
