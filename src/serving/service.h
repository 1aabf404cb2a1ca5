// SPDX-License-Identifier: Apache-2.0
// The one door: everything a front end may ask of the machine. Front ends see this header and nothing below it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"
#include "os/sandbox.h"

namespace mlos::serving {

struct RegisterRequest {
  std::string model_id;          // "namespace/name@version"; required
  std::string path;              // package folder or model file; may be empty when manifest_path is given
  std::string manifest_path;     // may be empty: <path>/manifest.yaml when it exists
  std::string plugin_id;         // empty: chosen by execution format
  std::string execution_format;  // empty: from the manifest, else detected from the file
  std::string framework;         // informative
  std::string description;       // informative
  // How long it stays loaded without requests; negative = for ever; unset = the server's default.
  std::optional<int64_t> keep_alive_ns;
  bool pinned = false;  // never unloaded to make room
  // Empty and 0: what the manifest says, else the server's default.
  std::string isolation;   // "process", "unsafe-process" (no sandbox), "none"
  std::string batching;    // "auto", "on" (dimension 0 is the batch, whatever the model file says), "off"
  uint32_t max_batch = 0;  // rows
};

enum class ModelState { kRegistered, kWaiting, kLoading, kReady, kFailed };
// "registered" (not loaded), "waiting" (for memory), "loading", "ready", "failed"
std::string_view ModelStateName(ModelState state);

// Why a request was not run.
enum class Refusal {
  kQueueFull,  // 503
  kTooLate,    // its deadline could not be met behind what waited: 503
  kTooShort,   // its deadline is shorter than the model takes: 504
  kExpired,    // its deadline passed before it came, or while it waited: 504
  kCancelled,  // the client went away
  kNotReady,   // starting, shutting down, or the model could not be loaded: 503
  kCount,
};
inline constexpr size_t kRefusals = static_cast<size_t>(Refusal::kCount);
// "queue_full", "too_late", ... Inline, because front ends see this header alone.
inline std::string_view RefusalName(Refusal refusal) {
  constexpr std::array<std::string_view, kRefusals> kNames = {"queue_full", "too_late",  "too_short",
                                                              "expired",    "cancelled", "not_ready"};
  return refusal < Refusal::kCount ? kNames[static_cast<size_t>(refusal)] : "unknown";
}

// What a model is doing and how fast it was lately.
struct ModelActivity {
  uint64_t queued = 0;   // requests
  uint64_t running = 0;  // requests under way
  std::array<uint64_t, kRefusals> refused{};
  // Of the last answered requests (up to 512): admitted -> answered. 0 before the first.
  int64_t p50_ns = 0;
  int64_t p90_ns = 0;
  int64_t p99_ns = 0;
  uint64_t executions = 0;      // runs of the plugin; fewer than requests when they were batched
  double prediction_error = 0;  // median of |predicted - true| / true over the last executions
  bool predicts = false;        // prediction_error says something
};

struct ModelStatus {
  std::string id;
  std::string name;     // of the manifest
  std::string version;  // revision (commit) of the package, or the version of the id
  ModelState state = ModelState::kRegistered;
  std::string error;  // kFailed: why
  std::string plugin_id;
  std::string framework;
  std::string execution_format;
  std::string path;
  std::string description;
  std::shared_ptr<const ModelInterface> interface;  // null until loaded once
  // Of a loaded model, in force.
  std::string isolation;   // "process", "unsafe-process", "none"
  std::string batching;    // "auto", "on", "off"
  uint32_t max_batch = 0;  // rows; 1 = no batches
  uint64_t requests_ok = 0;
  uint64_t requests_failed = 0;
  ModelActivity activity;
  int64_t load_ns = 0;  // how long the last load took
  int64_t registered_unix_ns = 0;

  bool is_latest = false;  // what the name without a version means
  bool pinned = false;
  bool draining = false;       // takes no new requests until it has been loaded again
  int64_t keep_alive_ns = -1;  // in force; negative = for ever
  int64_t expires_in_ns = -1;  // until it is unloaded; -1 = it is not loaded, busy, pinned or kept for ever
  uint32_t users = 0;          // requests that hold it
  uint64_t waiters = 0;        // requests that wait for it to be loaded
  std::string waits_for;       // kWaiting: who has the memory
  int64_t predicted_wait_ns = -1;    // kWaiting; -1 = not known
  uint64_t lease_private_bytes = 0;  // reserved for it; 0 = not loaded
  uint64_t lease_shared_bytes = 0;   // of the files that it maps
  uint64_t loads = 0;
  uint64_t unloads = 0;
  std::string note;  // of RegisterModel: what was unusual
};

struct MemoryStatus {
  uint64_t budget_bytes = 0;
  std::string budget_source;
  uint64_t leased_bytes = 0;    // of it promised; a file that several map counts once
  uint64_t shared_bytes = 0;    // of leased_bytes, the mapped files
  uint64_t reserved_bytes = 0;  // of leased_bytes, for models that are still loading
  struct Waiter {
    std::string model_id;
    uint64_t bytes = 0;
    int64_t since_ns = 0;  // CLOCK_MONOTONIC
    int64_t predicted_ns = -1;
    std::string reason;
  };
  std::vector<Waiter> waiting;
  std::vector<std::pair<std::string_view, uint64_t>> evictions;  // by reason
  uint64_t waits = 0;
  int64_t wait_ns = 0;
  uint64_t refused = 0;
  uint64_t corrections = 0;
  std::string pressure;  // what is watched; "" = nothing
};

// A model and the process that it runs in.
struct ModelProcess {
  ModelStatus status;
  bool loaded = false;
  int64_t pid = 0;  // 0 = in mlos-core itself
  uint64_t restarts = 0;
  bool measured = false;       // the three below say something
  uint64_t private_bytes = 0;  // ends with the model
  uint64_t mapped_bytes = 0;   // file pages in memory, shared with others or not; pid != 0 only
  uint64_t pss_bytes = 0;      // pid != 0 only
};

struct ProcessReport {
  MemoryStatus memory;
  std::vector<ModelProcess> models;
};

struct LoadRequest {
  std::string model_id;
  std::optional<int64_t> keep_alive_ns;  // from now on, until the model is unloaded
  std::optional<bool> pinned;            // remembered with the registration
};

struct UnloadReport {
  bool unloaded = false;  // false: it leaves when its requests are done
  uint32_t users = 0;
};

struct PluginStatus {
  std::string id;
  std::string version;
  std::string engine_version;
  std::string path;
  std::vector<std::string> formats;
  std::vector<std::string> frameworks;
  std::vector<std::string> capabilities;  // "execute", "generate", ...
  std::vector<std::string> models;        // ids loaded by it
};

// Where a loaded model runs.
struct WorkerStatus {
  std::string model_id;
  std::string plugin_id;
  int64_t pid = 0;  // 0: inside this process
  uint64_t restarts = 0;
  os::SandboxReport
      sandbox;  // as the process itself reports it; empty inside this process, or with the sandbox off
};

struct ServerStats {
  uint64_t requests_total = 0;
  uint64_t requests_ok = 0;
  uint64_t requests_failed = 0;
  int64_t latency_sum_ns = 0;  // of all answered requests
  int64_t uptime_ns = 0;
  uint64_t queued = 0;
  uint64_t running = 0;
  std::array<uint64_t, kRefusals> refused{};
};

struct ScanResult {
  std::vector<std::string> registered;  // ids that are new
  std::vector<std::pair<std::string, Status>> failed;
};

// Thread-safe.
class Service {
 public:
  virtual ~Service() = default;

  // --- request path: never block ---

  using DescribeCallback = std::function<void(Result<std::shared_ptr<const ModelInterface>>)>;
  // The interface of a registered model, loading it first when needed. `done` runs exactly once, inline when the model
  // is ready, else later on another thread. kNotFound for an unknown id. An id without "@version" means "@latest".
  virtual void Describe(const std::string& model_id, DescribeCallback done) = 0;

  // `sink` gets the answer, whatever happens; possibly before Infer returns.
  virtual void Infer(Request request, std::unique_ptr<ResponseSink> sink) = 0;

  virtual std::vector<ModelStatus> ListModels() = 0;
  virtual Result<ModelStatus> GetModel(const std::string& model_id) = 0;
  virtual std::vector<PluginStatus> ListPlugins() = 0;
  virtual ServerStats Stats() = 0;
  // One for each loaded model.
  virtual std::vector<WorkerStatus> ListWorkers() { return {}; }
  // What holds the memory of workers beside their own limits: "control group ...", or why there is none.
  struct WorkerGroups {
    bool in_force = false;
    std::string detail;
  };
  virtual WorkerGroups DescribeWorkerGroups() { return {}; }
  virtual MemoryStatus Memory() = 0;
  // Remembers where the time of an answered request went; never blocks for long. The oldest is forgotten.
  virtual void RecordTrace(std::unique_ptr<Trace> trace) { (void)trace; }
  // The last request with this id, or kNotFound.
  virtual Result<Trace> FindTrace(const std::string& request_id) {
    return NotFound("request '" + request_id + "' is not remembered");
  }
  // True while requests are accepted: false during start-up and drain.
  virtual bool Ready() = 0;

  // --- control path: these block, for seconds when a model loads; never call them on an I/O thread ---

  // Loads the model, or fails and changes nothing. Registering an id again replaces it when the new one loads.
  virtual Result<ModelStatus> RegisterModel(const RegisterRequest& request) = 0;
  // Waits for the requests in flight, unloads, forgets.
  virtual Status UnregisterModel(const std::string& model_id) = 0;
  // Registers every package in the store that is not registered yet.
  virtual Result<ScanResult> ScanModels() = 0;
  // Loads a registered model when it is not, and changes how long it stays.
  virtual Result<ModelStatus> LoadModel(const LoadRequest& request) = 0;
  // Unloads an idle model; a busy one leaves with its last request. It stays registered.
  virtual Result<UnloadReport> UnloadModel(const std::string& model_id) = 0;
  // What "latest" of the id's name means from now on; an id without version gives the choice back to the rules.
  virtual Result<ModelStatus> ChooseLatest(const std::string& model_id) = 0;
  // Measures what the models take.
  virtual ProcessReport Processes() = 0;
};

}  // namespace mlos::serving
