// SPDX-License-Identifier: Apache-2.0
// A model loaded by a plugin, as the rest of the host sees it. The only other folder that knows SMI is plugins/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"
#include "os/sandbox.h"
#include "plugin/worker_settings.h"

namespace mlos::resources {
class Backend;
}

namespace mlos::plugin {

using OptionList = std::vector<std::pair<std::string, std::string>>;  // name, value; known to one plugin only

class WeightCache;  // weight_cache.h

// Where the plugin's code runs.
enum class Isolation {
  kDefault,        // as the registry was opened
  kNone,           // in this process
  kProcess,        // in a process of its own
  kUnsafeProcess,  // in a process of its own, without a sandbox
};

struct LoadOptions {
  std::filesystem::path package_dir;
  std::filesystem::path model_path;  // the file or folder to execute
  std::string format;                // "onnx", "gguf", ...
  uint32_t n_threads = 0;            // 0 = the plugin decides
  uint32_t context_length = 0;
  uint32_t max_sequences = 0;
  Isolation isolation = Isolation::kDefault;
  OptionList options;
};

struct InstanceStats {
  uint64_t calls_ok = 0;
  uint64_t calls_failed = 0;
  uint32_t running = 0;
  int64_t busy_ns = 0;
  uint64_t tokens_prompt = 0;
  uint64_t tokens_generated = 0;
  uint64_t private_bytes = 0;
  int64_t pid = 0;        // the process the plugin runs in; 0 = this one
  uint64_t restarts = 0;  // of that process
};

struct Estimate {
  uint64_t private_bytes = 0;
  uint64_t mapped_bytes = 0;
  uint64_t device_bytes = 0;
  uint64_t per_call_bytes = 0;
};

// Thread-safe. The destructor waits for running calls, then unloads; so it must not run inside a ResponseSink of one of
// them. Implementations: local_instance.h (in this process), remote_instance.h (in a worker).
class Instance {
 public:
  virtual ~Instance() = default;
  virtual const ModelInterface& interface() const = 0;
  virtual const std::string& plugin_id() const = 0;
  virtual InstanceStats stats() const = 0;
  // What its process said of the sandbox it runs in; empty in this process.
  virtual os::SandboxReport sandbox() const { return {}; }
  // OK while requests are answered; kUnavailable, with the reason, while the model's process starts again, and for good once
  // it was given up.
  virtual Status health() const { return OkStatus(); }
  // Starts the call; `sink` gets the answer exactly once, possibly before this returns and on any thread. May block until
  // then: plugins like onnxruntime work on the calling thread. Uses inputs
  // (checked against the interface: names, dtypes, shapes; outputs of the plugin are checked likewise), outputs,
  // generation, deadline_ns and cancel of the request; `texts` must be empty. The plugin is told of a cancelled request by
  // the thread that cancels, of a passed deadline by a timer, within a few milliseconds.
  virtual void Run(Request request, std::unique_ptr<ResponseSink> sink) = 0;
  // Whether Run may work on the calling thread. False: it only hands over, as to a process of its own.
  virtual bool RunBlocks() const { return true; }
};

struct PluginDescription {
  std::string id;
  std::string version;
  std::string engine_version;
  std::filesystem::path path;
  std::vector<std::string> formats;
  std::vector<std::string> frameworks;
  std::vector<std::string> capabilities;
};

enum class LogLevel { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };
// Any thread; `plugin` is the plugin's id, or its file's name before the id is known.
using LogFn = std::function<void(LogLevel level, const std::string& plugin, std::string_view message)>;

struct OpenOptions {
  LogFn log;  // what plugins log, and what the host finds wrong with them; may be empty
  // By the name in the file name, libmlos_<name>.so: options that hold for the whole plugin.
  std::map<std::string, OptionList> plugin_options;
  // Where models run that do not say otherwise. With kProcess no plugin's code runs in this process, unless a model asks for it.
  Isolation isolation = Isolation::kNone;
  WorkerSettings worker;
  std::shared_ptr<WeightCache> weight_cache;  // null: none
  // Whose slots executions take; outlives the instances. Null, or without slots when a model is loaded: none are taken.
  resources::Backend* backend = nullptr;
};

// The plugins of one process. Thread-safe after Open.
class PluginRegistry {
 public:
  virtual ~PluginRegistry() = default;
  // Opens every libmlos_*.so in `dirs` (missing folders are skipped), in the order of the folders, then by name. A library
  // that fails to load, speaks another SMI version, breaks SMI's rules or has the id of one that is open is left out and
  // told in `errors` (may be null). Libraries stay in memory for the life of the process.
  static Result<std::unique_ptr<PluginRegistry>> Open(const std::vector<std::filesystem::path>& dirs,
                                                      std::vector<Status>* errors);
  static Result<std::unique_ptr<PluginRegistry>> Open(const std::vector<std::filesystem::path>& dirs,
                                                      OpenOptions options, std::vector<Status>* errors);
  virtual std::vector<PluginDescription> List() const = 0;
  // Id of the plugin for an execution format; kUnimplemented, naming what is there, when none has it.
  virtual Result<std::string> ForFormat(const std::string& format) const = 0;
  virtual Result<Estimate> EstimateModel(const std::string& plugin_id, const LoadOptions& options) = 0;
  // Blocks while the model loads. The instance keeps its plugin open.
  virtual Result<std::unique_ptr<Instance>> Load(const std::string& plugin_id,
                                                 const LoadOptions& options) = 0;
};

}  // namespace mlos::plugin
