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

  // Converts in place and opens the first graph.
  std::unique_ptr<OrtSession> Open(const std::string& task = "") {
    if (!ConvertInPlace(task)) return nullptr;
    return OpenGraph(result.graphs.front());
  }

  // False, and a failure of the test, when it is refused.
  bool ConvertInPlace(const std::string& task) {
    Result<ConvertResult> converted = Convert(path(), {task});
    EXPECT_TRUE(converted.ok()) << converted.status().ToString();
    if (!converted.ok()) return false;
    result = std::move(*converted);
    for (const ConvertedGraph& graph : result.graphs) WriteBytes(path() / graph.file, graph.onnx);
    const Status side_car = WriteSideCar(path(), result, path());
    EXPECT_TRUE(side_car.ok()) << side_car.ToString();
    return true;
  }

  std::unique_ptr<OrtSession> OpenGraph(const ConvertedGraph& graph) const {
    auto session = std::make_unique<OrtSession>(path() / graph.file);
    std::vector<std::string> declared;
    for (const TensorSpec& spec : graph.inputs) declared.push_back(spec.name);
    EXPECT_EQ(declared, session->inputs());
    declared.clear();
    for (const TensorSpec& spec : graph.outputs) declared.push_back(spec.name);
    EXPECT_EQ(declared, session->outputs());
    return session;
  }

  ConvertResult result;

 private:
  os::TemporaryDirectory dir_;
};

}  // namespace mlos::convert
