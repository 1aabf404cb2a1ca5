// SPDX-License-Identifier: Apache-2.0
// The open plugin: one ONNX Runtime environment with one thread pool for every model of the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "onnxruntime_cxx_api.h"
#include "options.h"
#include "smi/smi.h"
#include "weight_cache.h"

struct smi_plugin {
  // Takes the environment up; throws Failure or Ort::Exception.
  smi_plugin(const smi_host_api& host, const mlos_ort::PluginOptions& options);

  void Log(int32_t level, const char* message) const;

  // Constant after construction.
  const smi_host_api host;
  int threads = 0;  // of the pool, the calling thread included
  bool spin_while_running = false;
  Ort::Env env{nullptr};
  std::optional<mlos_ort::WeightCache> cache;

  std::atomic<uint32_t> n_models{0};
};

namespace mlos_ort {

// Slots of smi_plugin_api, by the file they are in.
// model.cc
smi_code Estimate(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out, smi_error* error);
smi_code Load(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error);
smi_code Unload(smi_model* model, smi_error* error);
const smi_model_info* DescribeModel(smi_model* model);
smi_code ModelStats(smi_model* model, smi_model_stats* out, smi_error* error);
// execute.cc
smi_code Execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                 smi_call** call, smi_error* error);
void Cancel(smi_model* model, smi_call* call);

}  // namespace mlos_ort
