// SPDX-License-Identifier: Apache-2.0
// mlos-core over HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::client {

struct ClientOptions {
  std::string endpoint = "http://localhost:8080";  // what MLOS_CORE_ENDPOINT says
  const std::atomic<bool>* interrupted = nullptr;  // may be null; ends a call with kCancelled
  int connect_timeout_s = 5;
};

// The fields `axon register` has always sent.
struct RegisterModel {
  std::string model_id;
  std::string name;
  std::string framework;
  std::string execution_format;
  std::string path;
  std::string description;
  std::string manifest_path;
  // Left out of the request when empty or 0: what the manifest says holds.
  std::string isolation = {};  // "process", "unsafe-process", "none"
  std::string batching = {};   // "auto", "on", "off"
  uint32_t max_batch = 0;      // rows
};

// What mlos-core says about a model; "" and 0 for what it left out.
struct ModelInfo {
  std::string id;
  std::string status;  // "loaded", "ready", "failed", ...
  std::string plugin_id;
  std::string framework;
  std::string execution_format;
  std::string path;
  std::string version;
  std::string error;
  double load_ms = 0;
  // From Get only.
  bool generates = false;     // text in, text out
  bool accepts_text = false;  // a sentence in, tensors out
  bool has_chat_template = false;
};

// What POST /models/{id}/load and unload answered.
struct Loaded {
  std::string id;
  std::string keep_alive;  // "5m", "forever"
  bool pinned = false;
  double load_ms = 0;
};
struct Unloaded {
  bool unloaded = false;  // false: it leaves when its requests are done
  uint64_t users = 0;
};

struct Generated {
  std::string text;
  std::string finish_reason;
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  double prompt_ms = 0;
  double eval_ms = 0;
  std::vector<std::string> warnings;
};

// Every call is one HTTP exchange; kUnavailable when nobody answers at the endpoint. An error of mlos-core comes back with
// its own code and message. Thread-compatible.
class CoreClient {
 public:
  explicit CoreClient(ClientOptions options);

  const std::string& endpoint() const { return options_.endpoint; }
  // Loads the model; takes as long as that takes.
  Result<ModelInfo> Register(const RegisterModel& model) const;
  Status Unregister(const std::string& model_id) const;
  Result<std::vector<ModelInfo>> List() const;
  Result<ModelInfo> Get(const std::string& model_id) const;
  // `body` and the answer are JSON.
  Result<std::string> Infer(const std::string& model_id, const std::string& body) const;
  // `body` is a JSON object with "stream": true in it. `on_text` gets each piece as it comes; false ends the call with
  // kCancelled.
  Result<Generated> Generate(const std::string& model_id, const std::string& body,
                             const std::function<bool(std::string_view piece)>& on_text) const;
  // Raw JSON.
  Result<std::string> Processes() const;  // client/processes.h reads it
  // `keep_alive`: "" = as it is.
  Result<Loaded> Load(const std::string& model_id, const std::string& keep_alive,
                      std::optional<bool> pin) const;
  Result<Unloaded> Unload(const std::string& model_id) const;
  // The id that the name means from now on.
  Result<std::string> ChooseLatest(const std::string& model_id) const;
  Result<std::string> Health() const;
  Result<std::string> Plugins() const;
  Result<std::string> Doctor() const;
  Result<std::string> Stats() const;
  // Where the time of one of the last requests went.
  Result<std::string> Request(const std::string& request_id) const;

 private:
  struct Answer {
    int status = 0;
    std::string body;
  };
  using OnBody = std::function<Status(int http_status, std::string_view bytes)>;
  Result<Answer> Call(const char* method, const std::string& path, const std::string& body,
                      const OnBody& on_body) const;
  // The body of a 2xx answer; the error in any other.
  Result<std::string> Ask(const char* method, const std::string& path, const std::string& body = "") const;

  const ClientOptions options_;
};

// As one segment of a path: all but letters, digits, '-', '_', '.' and '~' as %XX.
std::string PercentEncode(std::string_view text);

// "/models/hf%2Fbert-base-uncased%40latest".
std::string ModelPath(const std::string& model_id);

// The error in an answer that is not 2xx: mlos-core's code and message, or what the HTTP status means.
Status ErrorOfAnswer(int http_status, std::string_view body);

}  // namespace mlos::client
