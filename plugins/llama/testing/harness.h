// SPDX-License-Identifier: Apache-2.0
// The plugin as a host sees it, for tests: opens it, loads models, makes calls and waits for their ends.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "smi/smi.h"

namespace mlos::llama {

std::string FixturePath(const std::string& name);  // under tests/models
std::string ReadFile(const std::string& path);

// A file that lives as long as this.
class TempFile {
 public:
  explicit TempFile(const std::string& bytes, const std::string& suffix = ".gguf");
  ~TempFile();
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Ask {
  std::string prompt;
  std::vector<std::pair<std::string, std::string>> messages;
  std::vector<std::string> stop;
  uint32_t max_tokens = 0;
  float temperature = 0;
  float top_p = 1;
  float min_p = 0;
  float repeat_penalty = 1;
  int32_t top_k = 0;
  uint64_t seed = 1;
  int64_t deadline_ns = 0;
  // Called for each piece, with the number of pieces so far; what it returns goes to the plugin.
  std::function<smi_code(int)> on_text;
};

// A generate() call under way. Must be waited for.
class Answer {
 public:
  // Blocks until done() was called.
  void Wait();
  // Cancels it, unless it has ended already.
  void Cancel(const smi_plugin_api* api, smi_model* model);

  smi_code accepted = SMI_OK;  // what generate() returned
  smi_code code = SMI_OK;      // of done(), or of generate() when that failed
  std::string message;
  std::string text;
  std::vector<std::string> pieces;
  uint32_t told_tokens = 0;  // sum over the pieces
  smi_generate_result result{};

 private:
  friend class TestModel;
  static smi_code OnText(void* self, smi_str piece, uint32_t n_tokens);
  static void OnDone(void* self, smi_code code, const smi_error* error, const smi_generate_result* result);
  std::mutex mutex_;
  std::condition_variable ended_cv_;
  bool ended_ = false;
  smi_call* call_ = nullptr;
  std::function<smi_code(int)> on_text_;
};

struct Vectors {
  smi_code code = SMI_OK;
  std::string message;
  std::vector<int64_t> shape;
  std::vector<float> data;
};

struct LoadAsk {
  uint32_t n_threads = 1;
  uint32_t context_length = 0;
  uint32_t max_sequences = 0;
  std::vector<std::pair<std::string, std::string>> options;
  std::string format = "gguf";
};

// The plugin of this process, opened on first use.
struct OpenPlugin {
  const smi_plugin_api* api;
  smi_plugin* plugin;
};
OpenPlugin& Plugin();
// What the plugin logged at `level` or above since the last call.
std::vector<std::string> TakeLog(int32_t level);

class TestModel {
 public:
  explicit TestModel(const std::string& path, const LoadAsk& ask = {});
  ~TestModel();
  TestModel(const TestModel&) = delete;
  TestModel& operator=(const TestModel&) = delete;

  bool loaded() const { return model_ != nullptr; }
  smi_code code() const { return code_; }
  const std::string& message() const { return message_; }
  smi_model* get() const { return model_; }
  const smi_model_info& info() const;
  smi_model_stats stats() const;

  std::unique_ptr<Answer> Start(const Ask& ask);
  std::unique_ptr<Answer> Generate(const Ask& ask);  // Start and Wait
  Vectors Embed(const std::vector<std::string>& texts);
  Vectors ExecuteRaw(const smi_tensor& input, int64_t deadline_ns = 0);
  std::vector<int32_t> Tokenize(const std::string& text);

 private:
  smi_model* model_ = nullptr;
  smi_code code_ = SMI_OK;
  std::string message_;
};

smi_code EstimateOf(const std::string& path, const LoadAsk& ask, smi_estimate* estimate,
                    std::string* message);

// SMI_BYTES elements, as the ABI wants them.
std::string PackBytes(const std::vector<std::string>& elements);

}  // namespace mlos::llama
