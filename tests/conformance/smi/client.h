// SPDX-License-Identifier: Apache-2.0
// A host of SMI for tests: opens a plugin as a shared library and calls it with nothing in between. Whatever a plugin does
// that SMI forbids at any time (done() twice, output after done(), unreadable outputs, errors without words) fails the test
// that runs, whichever it is.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smi/smi.h"

namespace smi_test {

using Options = std::vector<std::pair<std::string, std::string>>;

// A tensor that owns its bytes.
struct Tensor {
  std::string name;
  smi_dtype dtype = SMI_DTYPE_INVALID;
  std::vector<int64_t> shape;
  std::string bytes;

  template <typename T>
  static Tensor Of(std::string name, smi_dtype dtype, std::vector<int64_t> shape,
                   const std::vector<T>& values) {
    return {std::move(name), dtype, std::move(shape),
            std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
  }
  static Tensor Strings(std::string name, std::vector<int64_t> shape,
                        const std::vector<std::string>& strings);
  template <typename T>
  std::vector<T> As() const {
    std::vector<T> out(bytes.size() / sizeof(T));
    bytes.copy(reinterpret_cast<char*>(out.data()), out.size() * sizeof(T));
    return out;
  }
  std::vector<std::string> AsStrings() const;
};

// A view as the plugin wants it; `tensor` must outlive it.
smi_tensor Borrow(const Tensor& tensor);
smi_str Borrow(std::string_view text);

// An empty smi_error, and its message.
smi_error NoError();
std::string Message(const smi_error& error);

// How a call went. Filled by the sinks.
struct Outcome {
  smi_code code = SMI_OK;
  std::string message;
  bool refused = false;  // by the return value: the sinks were not called
  std::vector<Tensor> outputs;
  std::string text;
  std::vector<std::string> pieces;
  smi_generate_result result{};
  smi_timing timing{};
  int reserved_used = 0;  // outputs that came in memory from reserve()

  const Tensor* Find(std::string_view name) const;
};

// A running call: sinks that record, and a handle to cancel by. Keep it until Wait() has returned.
class Recorder {
 public:
  smi_output_sink output_sink();
  smi_text_sink text_sink();
  // Waits for done() if the call was accepted.
  Outcome Wait(smi_code accepted, const smi_error& error);
  // Cancels by the rules: holds off done() meanwhile. False when the call is over or has no handle (yet).
  bool Cancel(const smi_plugin_api& api, smi_model* model);
  bool done();

  smi_call* call = nullptr;
  // Called in output() and text(); what it returns goes to the plugin.
  std::function<smi_code()> on_piece;
  bool offer_memory = true;

 private:
  static smi_code OnOutput(void* ctx, const smi_tensor* tensor, uint32_t part);
  static void OnOutputDone(void* ctx, smi_code code, const smi_error* error, const smi_timing* timing);
  static void* OnReserve(void* ctx, smi_str name, uint64_t size_bytes);
  static smi_code OnText(void* ctx, smi_str piece, uint32_t n_tokens);
  static void OnTextDone(void* ctx, smi_code code, const smi_error* error, const smi_generate_result* result);
  void Done(smi_code code, const smi_error* error);
  smi_code Piece();

  std::mutex mu_;
  std::condition_variable changed_;
  bool done_ = false;
  int inside_ = 0;
  Outcome outcome_;
  struct Reserved {
    std::string name;
    std::vector<std::byte> memory;
    void* aligned;
  };
  std::vector<Reserved> reserved_;
};

class Plugin;

// A loaded model; unloads itself.
class Model {
 public:
  Model(const smi_plugin_api* api, smi_model* model) : api_(api), model_(model) {}
  ~Model();
  Model(Model&& other) noexcept : api_(other.api_), model_(std::exchange(other.model_, nullptr)) {}
  Model& operator=(Model&&) = delete;

  const smi_plugin_api& api() const { return *api_; }
  smi_model* get() const { return model_; }
  const smi_model_info& info() const;
  smi_model_stats stats() const;
  // Walks by struct_size, as the rules say.
  const smi_tensor_spec& input(uint32_t i) const;
  const smi_tensor_spec& output(uint32_t i) const;
  bool can(uint32_t capability) const { return (info().capabilities & capability) != 0; }

  // Starts a call; `adjust` may change the parameters first.
  using AdjustExecute = std::function<void(smi_execute_params*)>;
  using AdjustGenerate = std::function<void(smi_generate_params*)>;
  Outcome Execute(const std::vector<Tensor>& inputs, const AdjustExecute& adjust = {},
                  Recorder* recorder = nullptr) const;
  Outcome Generate(std::string_view prompt, const AdjustGenerate& adjust = {},
                   Recorder* recorder = nullptr) const;
  // Gives the model back to the caller, who unloads it.
  smi_model* Release() { return std::exchange(model_, nullptr); }

 private:
  const smi_plugin_api* api_;
  smi_model* model_;
};

// Parameters of generate() that are valid and greedy.
smi_generate_params Greedy(std::string_view prompt);

// A library that has been loaded, and while open() holds an open plugin.
class Plugin {
 public:
  // Fails the test when the library cannot be loaded or opened.
  explicit Plugin(const std::filesystem::path& library, const Options& options = {});
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  static smi_plugin_entry_fn Entry(const std::filesystem::path& library);

  const smi_plugin_api& api() const { return *api_; }
  smi_plugin* get() const { return plugin_; }
  const smi_plugin_info& info() const { return *api_->describe(plugin_); }
  std::string log();

  // Fails the test when the model does not load.
  Model Load(const std::filesystem::path& path, const Options& options = {}) const;
  // `model` is set only when SMI_OK is returned.
  smi_code TryLoad(const std::filesystem::path& path, const Options& options, std::optional<Model>* model,
                   std::string* message) const;
  smi_code Estimate(const std::filesystem::path& path, smi_estimate* out, std::string* message) const;
  // Parameters for `path`, which must outlive them.
  static smi_load_params LoadParams(const std::string& path, const std::vector<smi_option>& options);

 private:
  static void OnLog(void* host, int32_t level, smi_str message);

  const smi_plugin_api* api_ = nullptr;
  smi_plugin* plugin_ = nullptr;
  smi_host_api host_{};
  std::mutex mu_;
  std::string log_;
};

}  // namespace smi_test
