// SPDX-License-Identifier: Apache-2.0
// A registered model in memory: the instance, the tokenizer that goes before it, and what is known of its speed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "infer/model_interface.h"
#include "model/catalog.h"
#include "model/estimate_cache.h"
#include "package/manifest.h"
#include "plugin/instance.h"
#include "preprocess/text_pipeline.h"
#include "resources/memory_broker.h"
#include "sched/execution_profile.h"
#include "sched/executor.h"

namespace mlos::model {

// Thread-safe after construction.
struct LoadedModel {
  // Constant after loading.
  std::string id;
  std::string name;
  std::string version;
  std::string framework;
  std::string execution_format;
  std::string plugin_id;
  std::shared_ptr<const ModelInterface> interface;
  std::unique_ptr<preprocess::TextPipeline> text;  // null when the package brings no tokenizer
  std::string text_output;                         // output put first when text was sent; may be empty
  bool pools_text = false;                         // TextPipeline::PostProcess needs the encoded inputs
  int64_t load_ns = 0;
  // In force.
  std::string isolation;      // "process", "unsafe-process", "none"
  std::string batching;       // "auto", "on", "off"
  uint32_t max_batch = 0;     // rows; 0 = the server's limit
  plugin::Estimate estimate;  // what the plugin said before it loaded

  // Written by the registry and by the handles it gives out.
  std::atomic<uint32_t> users{0};  // handles that are out
  std::atomic<int64_t> last_used_ns{0};
  std::atomic<int64_t> use_ns{0};         // how long a handle is out, a moving average; 0 = not known
  std::atomic<int64_t> keep_alive_ns{0};  // without users; negative = for ever
  std::atomic<bool> leave_when_idle{false};

  // The memory it takes; given back after the instance has ended.
  resources::Lease lease;

  // Last, so that running calls end before the tokenizer goes.
  std::unique_ptr<plugin::Instance> instance;

  // What was learnt of its speed; outlives a reload of the same version (serving keeps it).
  std::shared_ptr<sched::ExecutionProfile> profile = std::make_shared<sched::ExecutionProfile>();
  std::atomic<bool> prepared{false};     // serving has seen it
  std::atomic<bool> never_batch{false};  // its outputs did not have the rows of its inputs
  // Of a model that generates: admits sequences to the plugin's own batch. Null for others.
  std::unique_ptr<sched::Executor> sequences;
};

// What a registration points at, found on disk.
struct ModelFiles {
  std::filesystem::path package_dir;
  std::filesystem::path model_path;
  std::string format;  // execution format
  std::string name;
  std::string version;
  std::string framework;
  std::string description;
  preprocess::TextOptions text;  // tokenizer_file empty: none
  std::string text_output;
  package::ServingSpec serving;  // of the manifest
};

// Reads the manifest when there is one, else tells the format from the file's bytes. kNotFound, kDataLoss or
// kUnimplemented say what is there and what was expected.
Result<ModelFiles> ResolveModelFiles(const Registration& registration);

// kInvalidArgument that names the switch that has no such value.
Status CheckServing(const Registration& registration);

// All that is known before a model is loaded.
struct PreparedLoad {
  Registration registration;
  ModelFiles files;
  std::string plugin_id;
  plugin::LoadOptions options;
  package::ServingSpec serving;  // the registration's before the manifest's
  plugin::Estimate estimate;
  bool estimate_is_fresh = true;  // asked for this load, not remembered
  resources::Demand demand;
};

// The part of an estimate that is mapped files, by what is on disk now.
std::vector<resources::SharedBytes> SharedOf(const PreparedLoad& prepared, uint64_t mapped_bytes);

// Reads headers only. Mapped files count by device and inode, so that models that map the same file pay for it once.
Result<PreparedLoad> PrepareLoad(const Registration& registration, plugin::PluginRegistry& plugins,
                                 EstimateCache& estimates);

// Blocks while the model loads. The lease moves into it.
Result<std::unique_ptr<LoadedModel>> LoadPrepared(const PreparedLoad& prepared,
                                                  plugin::PluginRegistry& plugins,
                                                  resources::Lease lease = {});

// Of a loaded model: its process's own memory when it has one, else what the plugin says of itself.
struct MeasuredMemory {
  bool known = false;
  int64_t pid = 0;             // 0 = this process
  uint64_t private_bytes = 0;  // ends with the model
  uint64_t mapped_bytes = 0;   // file pages that are resident; only when pid is not 0
  uint64_t pss_bytes = 0;      // only when pid is not 0
};
MeasuredMemory Measure(const plugin::Instance& instance);

}  // namespace mlos::model
