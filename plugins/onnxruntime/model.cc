// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "errors.h"

namespace mlos_ort {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
// From here on what the arena would keep is worth the time it takes to give it back (README.md).
constexpr uint64_t kShrinkFromParameters = 1'000'000;
// Of a session whose weights are mapped: its graph, small weights and what packing takes for a moment.
constexpr uint64_t kCachedSession = 24 * kMiB;

ModelOptions OptionsOf(const smi_plugin& plugin, const smi_load_params& params) {
  ModelOptions out = ParseModelOptions(params.options, params.n_options);
  out.spin_while_running = plugin.spin_while_running;
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

smi_code Estimate(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out, smi_error* error) {
  return Guard(error, LoadCode, [&]() -> smi_code {
    const smi_load_params& load = Checked(params);
    if (out == nullptr || !SMI_HAS(out, smi_estimate, per_call_bytes)) {
      throw Failure(SMI_INVALID_ARGUMENT, "the estimate is missing or smaller than in SMI 1.0");
    }
    const ModelOptions options = ParseModelOptions(load.options, load.n_options);
    const std::string path(View(load.path));
    const OnnxFile file = ReadOnnxFile(path);
    const WeightSource source = ChooseSource(*plugin, path, file, options);
    const bool will_map = source.kind != WeightSource::Kind::kPlain;
    const uint64_t weights = file.file_bytes + file.external_bytes;
    const uint64_t further = Sessions::MaxFurther(
        load.n_threads == 0 ? static_cast<uint32_t>(plugin->threads) : load.n_threads, weights, will_map);
    out->reserved = 0;
    out->device_bytes = 0;
    out->per_call_bytes = 16 * kMiB + weights / 8;
    if (source.kind == WeightSource::Kind::kCached) {
      out->private_bytes = (1 + further) * kCachedSession + kMiB * 8;
      out->mapped_bytes = source.found.bytes;
      return SMI_OK;
    }
    // The graph and its tensors while they are read; then, per weight, a packed copy, and for 16-bit floats one of 32 bits.
    const uint64_t packed = options.prepack ? weights : 0;
    const uint64_t loaded = 3 * file.file_bytes + file.external_bytes / 4 + packed + 2 * file.half_bytes;
    out->private_bytes = 32 * kMiB + (will_map ? loaded : (1 + further) * loaded) + further * kCachedSession;
    // While the cache is made, both the model's files and the new ones.
    out->mapped_bytes = file.external_bytes + (will_map ? 2 * (weights + file.half_bytes) : 0);
    return SMI_OK;
  });
}

smi_code Load(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error) {
  return Guard(error, LoadCode, [&]() -> smi_code {
    const smi_load_params& load = Checked(params);
    if (model == nullptr) throw Failure(SMI_INVALID_ARGUMENT, "there is no place for the model");
    *model = std::make_unique<smi_model>(plugin, load).release();
    ++plugin->n_models;
#if defined(__GLIBC__)
    // What packing took for a moment would otherwise stay with this process.
    malloc_trim(0);
#endif
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
    : plugin(owner), options(mlos_ort::OptionsOf(*owner, params)) {
  const std::string path(mlos_ort::View(params.path));
  // First, because it says what is wrong with a file in fewer words than the engine.
  const mlos_ort::OnnxFile file = mlos_ort::ReadOnnxFile(path);
  sessions = std::make_unique<mlos_ort::Sessions>(*owner, params, options, file);
  const Ort::Session& session = sessions->main();
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
  if (info.batch_dimension >= 0) info.preferred_batch = mlos_ort::PreferredBatch(inputs);
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
