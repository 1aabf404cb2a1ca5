// SPDX-License-Identifier: Apache-2.0
// For tests of the host: plugins by folder, model files in a temporary folder, a sink that waits.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "plugin/instance.h"

namespace mlos::plugin {

// Where the build puts the plugins that users get, and one that breaks the rules.
inline const std::filesystem::path kPluginDir = MLOS_PLUGIN_DIR;
inline const std::filesystem::path kWorkerProgram =
    std::filesystem::path(MLOS_BINARY_DIR) / "bin" / "mlos-worker";
// The thread sanitizer makes system calls of its own that the sandbox forbids.
#if defined(__SANITIZE_THREAD__)
inline constexpr os::SandboxMode kTestSandbox = os::SandboxMode::kOff;
#else
inline constexpr os::SandboxMode kTestSandbox = os::SandboxMode::kOn;
#endif
inline std::filesystem::path HostileDir(const std::string& name) {
  return std::filesystem::path(MLOS_BINARY_DIR) / "tests" / "plugins" / name;
}

// What one call answered. Shared with its sink, which the instance owns.
class Answer {
 public:
  void Set(Status status, Response response) {
    std::lock_guard lock(mu_);
    ++times_;
    status_ = std::move(status);
    response_ = std::move(response);
    done_.notify_all();
  }
  // Blocks until the answer is there.
  const Status& Wait() {
    std::unique_lock lock(mu_);
    done_.wait(lock, [&] { return times_ > 0; });
    return status_;
  }
  Response& response() { return response_; }
  int times() {
    std::lock_guard lock(mu_);
    return times_;
  }

 private:
  std::mutex mu_;
  std::condition_variable done_;
  int times_ = 0;
  Status status_;
  Response response_;
};

class AnswerSink final : public ResponseSink {
 public:
  using TextFn = std::function<bool(std::string_view)>;
  explicit AnswerSink(std::shared_ptr<Answer> answer, TextFn on_text = {})
      : answer_(std::move(answer)), on_text_(std::move(on_text)) {}
  bool OnText(std::string_view piece) override { return on_text_ ? on_text_(piece) : true; }
  void OnDone(Status status, Response response) override {
    answer_->Set(std::move(status), std::move(response));
  }

 private:
  const std::shared_ptr<Answer> answer_;
  const TextFn on_text_;
};

// Runs the request and waits for its answer.
inline std::shared_ptr<Answer> RunAndWait(Instance& instance, Request request) {
  auto answer = std::make_shared<Answer>();
  instance.Run(std::move(request), std::make_unique<AnswerSink>(answer));
  answer->Wait();
  return answer;
}

inline NamedTensor Floats(const std::string& name, Shape shape, const std::vector<float>& values) {
  return {name, Tensor::FromValues<float>(DType::kFp32, std::move(shape), values).value()};
}

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlos_plugin_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mlos::plugin
