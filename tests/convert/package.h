// SPDX-License-Identifier: Apache-2.0
// A package folder that a test converts and runs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/convert.h"
#include "convert/testing/safetensors_writer.h"
#include "ort_session.h"
#include "os/directory.h"

namespace mlos::convert {

// A copy of a package that may be written to.
class Package {
 public:
  explicit Package(const std::filesystem::path& source) {
    std::filesystem::copy(source, dir_.path(), std::filesystem::copy_options::recursive);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_write,
                                   std::filesystem::perm_options::add);
    }
  }
  const std::filesystem::path& path() const { return dir_.path(); }

  // Converts in place and opens the result.
  std::unique_ptr<OrtSession> Open(const std::string& task = "") {
    Result<ConvertResult> converted = Convert(path(), {task});
    EXPECT_TRUE(converted.ok()) << converted.status().ToString();
    if (!converted.ok()) return nullptr;
    result = std::move(*converted);
    WriteBytes(path() / "model.onnx", result.onnx);
    const Status side_car = WriteSideCar(path(), result, path());
    EXPECT_TRUE(side_car.ok()) << side_car.ToString();
    auto session = std::make_unique<OrtSession>(path() / "model.onnx");
    std::vector<std::string> declared;
    for (const TensorSpec& spec : result.inputs) declared.push_back(spec.name);
    EXPECT_EQ(declared, session->inputs());
    declared.clear();
    for (const TensorSpec& spec : result.outputs) declared.push_back(spec.name);
    EXPECT_EQ(declared, session->outputs());
    return session;
  }

  ConvertResult result;

 private:
  os::TemporaryDirectory dir_;
};

}  // namespace mlos::convert
