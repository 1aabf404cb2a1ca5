// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "errors.h"
#include "onnxruntime_session_options_config_keys.h"

namespace mlos_ort {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
// From here on what the arena would keep is worth the time it takes to give it back (README.md).
constexpr uint64_t kShrinkFromParameters = 1'000'000;

Ort::SessionOptions SessionOptions(const smi_plugin& plugin, const smi_load_params& params,
                                   const ModelOptions& options) {
  Ort::SessionOptions out;
  const int threads = static_cast<int>(std::min<uint32_t>(params.n_threads, 1024));
  if (threads == 0 || threads >= plugin.threads) {
    out.DisablePerSessionThreads();
  } else {
    // Fewer than the pool has: a pool of the session's own, which for one thread has no thread at all.
    out.SetIntraOpNumThreads(threads);
    out.SetInterOpNumThreads(1);
    out.AddConfigEntry(kOrtSessionOptionsConfigAllowIntraOpSpinning, "0");
  }
  out.SetExecutionMode(ORT_SEQUENTIAL);
  out.SetGraphOptimizationLevel(options.optimization);
  if (!options.prepack) out.AddConfigEntry(kOrtSessionOptionsConfigDisablePrepacking, "1");
  if (options.arena == ModelOptions::Arena::kOff) {
    out.DisableCpuMemArena();
    out.DisableMemPattern();
  }
  return out;
}

bool ShrinksArena(ModelOptions::Arena arena, uint64_t parameters) {
  if (arena == ModelOptions::Arena::kAuto) return parameters >= kShrinkFromParameters;
  return arena == ModelOptions::Arena::kShrink;
}

const smi_load_params& Checked(const smi_load_params* params) {
  smi_error error{};
  error.struct_size = sizeof error;
  const smi_code code = smi_check_load(params, &error);
  if (code != SMI_OK) throw Failure(code, error.message);
  if (View(params->format) != "onnx" && params->format.size != 0) {
    throw Failure(SMI_UNSUPPORTED, "format '" + std::string(View(params->format).substr(0, 64)) +
                                       "': this plugin runs 'onnx'");
  }
  return *params;
}

}  // namespace

smi_code Estimate(smi_plugin* /*plugin*/, const smi_load_params* params, smi_estimate* out,
                  smi_error* error) {
  return Guard(error, LoadCode, [&]() -> smi_code {
    const smi_load_params& load = Checked(params);
    if (out == nullptr || !SMI_HAS(out, smi_estimate, per_call_bytes)) {
      throw Failure(SMI_INVALID_ARGUMENT, "the estimate is missing or smaller than in SMI 1.0");
    }
    const ModelOptions options = ParseModelOptions(load.options, load.n_options);
    const OnnxFile file = ReadOnnxFile(std::string(View(load.path)));
    const uint64_t weights = file.file_bytes + file.external_bytes;
    // The graph and its tensors while they are read; then, per weight, a packed copy, and for 16-bit floats one of 32 bits.
    const uint64_t packed = options.prepack ? weights : 0;
    out->reserved = 0;
    out->private_bytes =
        32 * kMiB + 3 * file.file_bytes + file.external_bytes / 4 + packed + 2 * file.half_bytes;
    out->mapped_bytes = file.external_bytes;
    out->device_bytes = 0;
    out->per_call_bytes = 16 * kMiB + weights / 8;
    return SMI_OK;
  });
}

smi_code Load(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error) {
  return Guard(error, LoadCode, [&]() -> smi_code {
    const smi_load_params& load = Checked(params);
    if (model == nullptr) throw Failure(SMI_INVALID_ARGUMENT, "there is no place for the model");
    *model = std::make_unique<smi_model>(plugin, load).release();
    ++plugin->n_models;
    return SMI_OK;
  });
}

smi_code Unload(smi_model* model, smi_error* error) {
  {
    std::unique_lock lock(model->mutex);
    if (model->stats.running > 0)
      return smi_fail(error, SMI_WRONG_STATE, "%u calls are running", model->stats.running);
    model->left.wait(lock, [&] { return model->leaving == 0; });
  }
  smi_plugin* const plugin = model->plugin;
  delete model;
  --plugin->n_models;
  return SMI_OK;
}

const smi_model_info* DescribeModel(smi_model* model) { return &model->info; }

smi_code ModelStats(smi_model* model, smi_model_stats* out, smi_error* error) {
  if (out == nullptr || !SMI_HAS(out, smi_model_stats, private_bytes)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the statistics are missing or smaller than in SMI 1.0");
  }
  const uint32_t size = out->struct_size;
  const std::lock_guard lock(model->mutex);
  std::memcpy(out, &model->stats, sizeof model->stats);
  out->struct_size = size;
  return SMI_OK;
}

}  // namespace mlos_ort

smi_model::smi_model(smi_plugin* owner, const smi_load_params& params)
    : plugin(owner), options(mlos_ort::ParseModelOptions(params.options, params.n_options)) {
  const std::string path(mlos_ort::View(params.path));
  // First, because it says what is wrong with a file in fewer words than the engine.
  const mlos_ort::OnnxFile file = mlos_ort::ReadOnnxFile(path);
  session = Ort::Session(owner->env, path.c_str(), mlos_ort::SessionOptions(*owner, params, options));
  memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  inputs = mlos_ort::ReadInputs(session);
  mlos_ort::AssignDefaults(&inputs);
  outputs = mlos_ort::ReadOutputs(session, *owner);
  input_ids = FindInput("input_ids");
  input_specs.Fill(inputs);
  output_specs.Fill(outputs);
  output_shapes = mlos_ort::OutputShapes(inputs, outputs);

  shrink_arena = mlos_ort::ShrinksArena(options.arena, file.parameters);

  info.struct_size = sizeof info;
  info.capabilities = SMI_CAP_EXECUTE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
  info.inputs = input_specs.specs().data();
  info.n_inputs = static_cast<uint32_t>(inputs.size());
  info.outputs = output_specs.specs().data();
  info.n_outputs = static_cast<uint32_t>(outputs.size());
  info.parameter_count = file.parameters;
  info.batch_dimension = mlos_ort::BatchDimension(inputs, outputs);
  stats.struct_size = sizeof stats;
}

int smi_model::FindInput(std::string_view name) const {
  const auto it =
      std::find_if(inputs.begin(), inputs.end(), [&](const auto& port) { return port.name == name; });
  return it == inputs.end() ? -1 : static_cast<int>(it - inputs.begin());
}

int smi_model::FindOutput(std::string_view name) const {
  const auto it =
      std::find_if(outputs.begin(), outputs.end(), [&](const auto& port) { return port.name == name; });
  return it == outputs.end() ? -1 : static_cast<int>(it - outputs.begin());
}
