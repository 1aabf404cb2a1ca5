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
#include "plugin/instance.h"
#include "preprocess/text_pipeline.h"
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
};

// Reads the manifest when there is one, else tells the format from the file's bytes. kNotFound, kDataLoss or
// kUnimplemented say what is there and what was expected.
Result<ModelFiles> ResolveModelFiles(const Registration& registration);

// Blocks while the model loads.
Result<std::unique_ptr<LoadedModel>> LoadModel(const Registration& registration,
                                               plugin::PluginRegistry& plugins);

}  // namespace mlos::model
