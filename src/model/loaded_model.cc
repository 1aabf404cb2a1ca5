// SPDX-License-Identifier: Apache-2.0
#include "model/loaded_model.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/clock.h"
#include "os/file.h"
#include "os/memory_info.h"
#include "package/format.h"
#include "package/manifest.h"
#include "package/ref.h"
#include "package/store.h"

namespace mlos::model {
namespace {

namespace fs = std::filesystem;

Result<fs::path> ExecutionFileOf(const package::InstalledPackage& package) {
  const package::Manifest& m = package.manifest;
  if (m.execution_files.empty()) {
    return Unimplemented("package '" + package.dir.string() +
                         "' has nothing to execute: its manifest lists no execution_files" +
                         (m.format_type.empty() ? "" : " (it holds " + m.format_type + ")"));
  }
  for (const package::ExecutionFile& file : m.execution_files) {
    if (file.type == "single") return package.dir / file.path;
  }
  return Unimplemented("package '" + package.dir.string() + "' is made of several graphs (" +
                       m.execution_files[0].type +
                       ", ...); give the path of the one to serve, for example '" +
                       (package.dir / m.execution_files[0].path).string() + "'");
}

Result<ModelFiles> FromPackage(const fs::path& dir) {
  MLOS_ASSIGN_OR_RETURN(const package::InstalledPackage package, package::OpenPackage(dir));
  MLOS_ASSIGN_OR_RETURN(const fs::path model_path, ExecutionFileOf(package));
  const package::Manifest& m = package.manifest;
  ModelFiles files{.package_dir = dir,
                   .model_path = model_path,
                   .format = m.execution_format,
                   .name = m.name,
                   .version = m.revision.empty() ? m.version : m.revision,
                   .framework = m.framework_name,
                   .description = m.description};
  if (m.serving) files.serving = *m.serving;
  if (m.text) {
    files.text = {.tokenizer_file = dir / m.text->tokenizer,
                  .max_length = m.text->max_length,
                  .pooling = m.text->pooling,
                  .normalize = m.text->normalize,
                  .pooling_input = m.text->pooling_input};
    files.text_output = m.text->output;
  }
  return files;
}

// A folder without a manifest runs when exactly one file in it can be executed.
Result<fs::path> OnlyModelFileIn(const fs::path& dir) {
  for (const char* usual : {"model.onnx", "onnx/model.onnx"}) {
    if (fs::is_regular_file(dir / usual)) return dir / usual;
  }
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    const package::FileFormat format = package::FormatFromName(entry.path());
    if (format == package::FileFormat::kOnnx || format == package::FileFormat::kGguf)
      found.push_back(entry.path());
  }
  if (error) return NotFound("cannot read folder '" + dir.string() + "': " + error.message());
  if (found.size() == 1) return found[0];
  return NotFound("folder '" + dir.string() + "' has no manifest.yaml and " + std::to_string(found.size()) +
                  " files that can be executed (.onnx, .gguf), wanted one: give the path of the file");
}

Result<ModelFiles> FromFile(const fs::path& file) {
  MLOS_ASSIGN_OR_RETURN(const package::FileFormat format, package::DetectFormat(file));
  return ModelFiles{.package_dir = file.parent_path(),
                    .model_path = file,
                    .format = std::string(package::FileFormatName(format)),
                    .name = file.stem().string()};
}

}  // namespace

Result<ModelFiles> ResolveModelFiles(const Registration& registration) {
  const fs::path path = registration.path;
  std::error_code error;
  if (!fs::exists(path, error)) return NotFound("'" + path.string() + "' does not exist");
  Result<ModelFiles> files = [&]() -> Result<ModelFiles> {
    if (!fs::is_directory(path, error)) return FromFile(path);
    if (fs::exists(path / "manifest.yaml", error)) return FromPackage(path);
    MLOS_ASSIGN_OR_RETURN(const fs::path file, OnlyModelFileIn(path));
    return FromFile(file);
  }();
  if (!files.ok()) return files;
  if (!registration.execution_format.empty() && registration.execution_format != files->format) {
    return InvalidArgument("execution_format '" + registration.execution_format + "' was given, but '" +
                           files->model_path.string() + "' is " + files->format);
  }
  if (!registration.framework.empty()) files->framework = registration.framework;
  if (!registration.description.empty()) files->description = registration.description;
  if (files->version.empty()) {
    const Result<package::ModelRef> ref = package::ParseModelRef(registration.id);
    files->version = ref.ok() ? ref->revision : "latest";
  }
  return files;
}

namespace {

constexpr uint64_t kSmallFile = 64 << 10;

// Which files the plugin will map is its own business. Weights are the largest files of a package; a model that is one
// file maps that one.
std::vector<resources::SharedBytes> MappedFiles(const ModelFiles& files, bool is_package,
                                                uint64_t mapped_bytes) {
  std::vector<std::pair<uint64_t, fs::path>> candidates;
  std::error_code error;
  if (is_package) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(files.package_dir, error)) {
      std::error_code ignored;
      if (entry.is_regular_file(ignored) && entry.file_size(ignored) >= kSmallFile)
        candidates.emplace_back(entry.file_size(ignored), entry.path());
    }
  }
  std::ranges::sort(candidates, std::ranges::greater());
  std::vector<resources::SharedBytes> out;
  const auto add = [&](const fs::path& path, uint64_t bytes) {
    const Result<os::FileInfo> info = os::Stat(path);
    const std::string key =
        info.ok() ? std::to_string(info->device) + ":" + std::to_string(info->inode) : path.string();
    for (resources::SharedBytes& file : out) {
      if (file.key != key) continue;
      file.bytes += bytes;
      return;
    }
    out.push_back({key, bytes});
  };
  for (const auto& [size, path] : candidates) {
    if (mapped_bytes == 0) break;
    const uint64_t bytes = std::min(size, mapped_bytes);
    add(path, bytes);
    mapped_bytes -= bytes;
  }
  if (mapped_bytes > 0) add(files.model_path, mapped_bytes);
  return out;
}

plugin::Isolation IsolationOf(const std::string& name) {
  if (name.empty()) return plugin::Isolation::kDefault;
  if (name == "unsafe-process") return plugin::Isolation::kUnsafeProcess;
  return name == "none" ? plugin::Isolation::kNone : plugin::Isolation::kProcess;
}

package::ServingSpec ServingOf(const Registration& registration, const ModelFiles& files) {
  package::ServingSpec out = files.serving;
  if (!registration.isolation.empty()) out.isolation = registration.isolation;
  if (!registration.batching.empty()) out.batching = registration.batching;
  if (registration.max_batch != 0) out.max_batch = registration.max_batch;
  return out;
}

// With batching "on" dimension 0 of everything is the batch, whatever the model file says of it.
Status ApplyBatching(const package::ServingSpec& serving, ModelInterface* interface) {
  if (serving.batching != "on" || !interface->executes) return OkStatus();
  for (const auto* tensors : {&interface->inputs, &interface->outputs}) {
    for (const TensorSpec& tensor : *tensors) {
      if (!tensor.shape.empty() && tensor.shape[0] < 0) continue;
      return InvalidArgument("batching is 'on', but '" + tensor.name + "' is " + SpecToString(tensor) +
                             ": its first dimension must be free; leave batching at 'auto'");
    }
  }
  interface->batch_dimension = 0;
  return OkStatus();
}

}  // namespace

std::vector<resources::SharedBytes> SharedOf(const PreparedLoad& prepared, uint64_t mapped_bytes) {
  std::error_code error;
  return MappedFiles(prepared.files, fs::is_directory(prepared.registration.path, error), mapped_bytes);
}

Status CheckServing(const Registration& registration) {
  return package::CheckServing({registration.isolation, registration.batching, registration.max_batch});
}

Result<PreparedLoad> PrepareLoad(const Registration& registration, plugin::PluginRegistry& plugins,
                                 EstimateCache& estimates) {
  PreparedLoad out{.registration = registration};
  MLOS_ASSIGN_OR_RETURN(out.files, ResolveModelFiles(registration));
  if (registration.plugin_id.empty()) {
    MLOS_ASSIGN_OR_RETURN(out.plugin_id, plugins.ForFormat(out.files.format));
  } else {
    out.plugin_id = registration.plugin_id;
  }
  out.serving = ServingOf(registration, out.files);
  out.options = {.package_dir = out.files.package_dir,
                 .model_path = out.files.model_path,
                 .format = out.files.format,
                 .isolation = IsolationOf(out.serving.isolation)};
  MLOS_ASSIGN_OR_RETURN(out.estimate,
                        estimates.Get(plugins, out.plugin_id, out.options, &out.estimate_is_fresh));
  const auto private_bytes = CheckedAdd(out.estimate.private_bytes, out.estimate.per_call_bytes);
  if (!private_bytes) {
    return Internal("plugin '" + out.plugin_id + "' estimates " + std::to_string(out.estimate.private_bytes) +
                    " and " + std::to_string(out.estimate.per_call_bytes) + " bytes: more than there can be");
  }
  out.demand = {.who = registration.id,
                .private_bytes = *private_bytes,
                .shared = SharedOf(out, out.estimate.mapped_bytes),
                .device_bytes = out.estimate.device_bytes};
  return out;
}

Result<std::unique_ptr<LoadedModel>> LoadPrepared(const PreparedLoad& prepared,
                                                  plugin::PluginRegistry& plugins, resources::Lease lease) {
  const int64_t start_ns = Clock::Real().MonotonicNs();
  const ModelFiles& files = prepared.files;
  auto model = std::make_unique<LoadedModel>();
  model->id = prepared.registration.id;
  model->name = files.name;
  model->version = files.version;
  model->framework = files.framework;
  model->execution_format = files.format;
  model->text_output = files.text_output;
  model->plugin_id = prepared.plugin_id;
  model->estimate = prepared.estimate;
  model->batching = prepared.serving.batching.empty() ? "auto" : prepared.serving.batching;
  model->max_batch = model->batching == "off" ? 1 : prepared.serving.max_batch;
  model->lease = std::move(lease);
  MLOS_ASSIGN_OR_RETURN(model->instance, plugins.Load(model->plugin_id, prepared.options));
  model->isolation = prepared.serving.isolation;
  if (model->isolation.empty()) model->isolation = model->instance->stats().pid != 0 ? "process" : "none";
  auto interface = std::make_shared<ModelInterface>(model->instance->interface());
  MLOS_RETURN_IF_ERROR(ApplyBatching(prepared.serving, interface.get()));
  if (!files.text.tokenizer_file.empty()) {
    MLOS_ASSIGN_OR_RETURN(model->text, preprocess::TextPipeline::Load(files.text));
    interface->accepts_text = true;
    model->pools_text = !files.text.pooling.empty();
  }
  model->interface = std::move(interface);
  model->load_ns = Clock::Real().MonotonicNs() - start_ns;
  return model;
}

MeasuredMemory Measure(const plugin::Instance& instance) {
  const plugin::InstanceStats stats = instance.stats();
  MeasuredMemory out{.pid = stats.pid};
  if (stats.pid == 0) {
    out.known = stats.private_bytes > 0;
    out.private_bytes = stats.private_bytes;
    return out;
  }
  const Result<os::ProcessMemory> memory = os::ReadProcessMemory(stats.pid);
  if (!memory.ok()) return out;
  out.known = true;
  out.private_bytes = memory->private_bytes();
  out.mapped_bytes = memory->file;
  out.pss_bytes = memory->pss;
  return out;
}

}  // namespace mlos::model
