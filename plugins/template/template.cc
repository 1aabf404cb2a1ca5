// SPDX-License-Identifier: Apache-2.0
// A complete SMI plugin to copy from: see README.md. Read it from top to bottom; the order is that of a model's life.
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine.h"
#include "smi/plugin_util.h"

// --- the three opaque types ---------------------------------------------------------------------------------------
// SMI only declares them; what is in them is the plugin's business.

// The open plugin: what all models share.
struct smi_plugin {
  smi_host_api host;
  std::atomic<uint32_t> n_models{0};
};

// One accepted call, from execute() to the return of done(). Everything that is needed later is copied here, except for
// the bytes of the inputs, which the host keeps until done().
struct smi_call {
  const float* x = nullptr;
  std::vector<int64_t> shape;
  smi_output_sink sink{};
  int64_t deadline_ns = 0;
  int64_t started_ns = 0;
  std::atomic<bool> cancelled{false};
};

namespace mlos_template {
namespace {

smi_str Str(std::string_view text) { return {text.data(), text.size()}; }

// --- errors -------------------------------------------------------------------------------------------------------
// Runs the body of a slot. CHANGE: translate your engine's errors; the code tells the caller's next move, the message
// says what was wanted, what was found, what to do.
template <typename Body>
smi_code Guarded(smi_error* error, const Body& body) noexcept {
  try {
    return body();
  } catch (const MissingFile& e) {
    return smi_fail(error, SMI_NOT_FOUND, "%s", e.what());
  } catch (const DamagedFile& e) {
    return smi_fail(error, SMI_CORRUPT, "%s", e.what());
  } catch (const std::bad_alloc&) {
    return smi_fail(error, SMI_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return smi_fail(error, SMI_INTERNAL, "%s", e.what());
  } catch (...) {
    return smi_fail(error, SMI_INTERNAL, "an exception of unknown type");
  }
}

// CHANGE: parse what your engine knows. Unknown names and values are errors.
smi_code CheckOptions(const smi_option* options, uint32_t n_options, smi_error* error) {
  if (n_options == 0) return SMI_OK;
  return smi_fail(error, SMI_INVALID_ARGUMENT, "unknown option '%.*s': this plugin has none",
                  SMI_ARG(options[0].name));
}

}  // namespace
}  // namespace mlos_template

// --- a loaded model -----------------------------------------------------------------------------------------------

struct smi_model {
  smi_model(smi_plugin* plugin, const std::string& path);
  ~smi_model();

  void Submit(std::unique_ptr<smi_call> call);
  smi_code MayUnload(smi_error* error);

  smi_plugin* const plugin;
  const mlos_template::Engine engine;

  // What describe_model() hands out; must stay where it is for the life of the model.
  int64_t shape[1] = {-1};
  smi_str dim_names[1] = {{"n", 1}};
  smi_tensor_spec input{};
  smi_tensor_spec output{};
  smi_model_info info{};

  // Guarded by mutex.
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::unique_ptr<smi_call>> queue;
  smi_model_stats stats{};
  bool stopping = false;

 private:
  void Work();
  void Run(smi_call& call);
  void Finish(smi_call& call, smi_code code, const smi_error& error, const smi_timing& timing);

  std::thread worker_;
};

smi_model::smi_model(smi_plugin* owner, const std::string& path) : plugin(owner), engine(path) {
  // CHANGE: names, dtypes and shapes from the model file itself, -1 for sizes that are free. Never guessed.
  input.struct_size = sizeof input;
  input.dtype = SMI_FP32;
  input.name = smi_text("x");
  input.shape = shape;
  input.dim_names = dim_names;
  input.rank = 1;
  output = input;
  output.name = smi_text("y");
  info.struct_size = sizeof info;
  // Promise only what works: the host and the conformance suite take this at its word.
  info.capabilities = SMI_CAP_EXECUTE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
  info.inputs = &input;
  info.outputs = &output;
  info.n_inputs = info.n_outputs = 1;
  info.parameter_count = 1;
  info.architecture = smi_text("factor");
  info.batch_dimension = 0;
  stats.struct_size = sizeof stats;
  stats.private_bytes = sizeof *this;
  worker_ = std::thread([this] { Work(); });
}

smi_model::~smi_model() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  worker_.join();
}

// unload() while calls run is SMI_WRONG_STATE. A call ends when done() is called, not when it returns; the join in the
// destructor waits for the rest.
smi_code smi_model::MayUnload(smi_error* error) {
  const std::lock_guard lock(mutex);
  if (stats.running == 0) return SMI_OK;
  return smi_fail(error, SMI_WRONG_STATE, "%u calls are running", stats.running);
}

void smi_model::Submit(std::unique_ptr<smi_call> call) {
  {
    const std::lock_guard lock(mutex);
    ++stats.running;
    queue.push_back(std::move(call));
  }
  changed.notify_one();
}

void smi_model::Work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (queue.empty()) return;
    const std::unique_ptr<smi_call> call = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    Run(*call);
    lock.lock();
  }
}

// Runs one call and ends it, whatever happens.
void smi_model::Run(smi_call& call) {
  smi_error error{};
  error.struct_size = sizeof error;
  smi_timing timing{};
  timing.struct_size = sizeof timing;
  timing.prepare_ns = static_cast<uint64_t>(smi_now_ns() - call.started_ns);
  const smi_code code = mlos_template::Guarded(&error, [&]() -> smi_code {
    if (call.deadline_ns != 0 && smi_now_ns() >= call.deadline_ns) {
      return smi_fail(&error, SMI_DEADLINE_EXCEEDED, "the deadline passed before the model was free");
    }
    uint64_t count = 0;
    smi_element_count(call.shape.data(), static_cast<uint32_t>(call.shape.size()), &count);
    std::vector<float> y(count);
    const int64_t begun_ns = smi_now_ns();
    const bool whole = engine.Run(call.x, &y, call.cancelled);
    timing.compute_ns = static_cast<uint64_t>(smi_now_ns() - begun_ns);
    if (!whole) return smi_fail(&error, SMI_CANCELLED, "cancelled");
    // Borrowed by the host for the length of output(). A plugin that knows its outputs' sizes beforehand can have the
    // engine write into memory of sink.reserve() and save the host a copy: see plugins/onnxruntime.
    smi_tensor tensor{};
    tensor.struct_size = sizeof tensor;
    tensor.dtype = SMI_FP32;
    tensor.name = output.name;
    tensor.shape = call.shape.data();
    tensor.rank = static_cast<uint32_t>(call.shape.size());
    tensor.data = y.data();
    tensor.size_bytes = count * sizeof(float);
    if (call.sink.output(call.sink.ctx, &tensor, 0) == SMI_OK) return SMI_OK;
    return smi_fail(&error, SMI_CANCELLED, "the sink refused the output");
  });
  Finish(call, code, error, timing);
}

void smi_model::Finish(smi_call& call, smi_code code, const smi_error& error, const smi_timing& timing) {
  {
    const std::lock_guard lock(mutex);
    --stats.running;
    ++(code == SMI_OK ? stats.calls_ok : stats.calls_failed);
    stats.busy_ns += static_cast<uint64_t>(smi_now_ns() - call.started_ns);
  }
  // Not under the lock: the host may ask for statistics, or cancel another call, from inside done().
  call.sink.done(call.sink.ctx, code, code == SMI_OK ? nullptr : &error, &timing);
}

// --- the slots of the table ---------------------------------------------------------------------------------------

namespace mlos_template {
namespace {

// CHANGE. formats: as manifests spell execution formats. frameworks: whose models come in them.
const smi_plugin_info& PluginInfo() {
  static const smi_str formats[] = {Str("template")};
  static const smi_plugin_info info = [] {
    smi_plugin_info out{};
    out.struct_size = sizeof out;
    out.capabilities = SMI_CAP_EXECUTE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
    out.name = Str("template");
    out.version = Str("1.0.0");
    out.formats = formats;
    out.n_formats = 1;
    return out;
  }();
  return info;
}

smi_code Open(const smi_host_api* host, const smi_option* options, uint32_t n_options, smi_plugin** plugin,
              smi_error* error) {
  return Guarded(error, [&]() -> smi_code {
    if (host == nullptr || !SMI_HAS(host, smi_host_api, log) || plugin == nullptr ||
        (n_options > 0 && options == nullptr)) {
      return smi_fail(error, SMI_INVALID_ARGUMENT, "the host's table is missing or smaller than in SMI 1.0");
    }
    const smi_code code = CheckOptions(options, n_options, error);
    if (code != SMI_OK) return code;
    // CHANGE: initialise the engine: thread pools, its logging through host->log, telemetry off.
    auto made = std::make_unique<smi_plugin>();
    made->host = *host;
    *plugin = made.release();
    return SMI_OK;
  });
}

smi_code Close(smi_plugin* plugin, smi_error* error) {
  const uint32_t n_models = plugin->n_models.load();
  if (n_models > 0) return smi_fail(error, SMI_WRONG_STATE, "%u models are loaded", n_models);
  delete plugin;
  return SMI_OK;
}

const smi_plugin_info* Describe(smi_plugin* /*plugin*/) { return &PluginInfo(); }

// CHANGE: an upper bound from the file's headers, without loading weights. The host reserves this much before load().
smi_code Estimate(smi_plugin* /*plugin*/, const smi_load_params* params, smi_estimate* out,
                  smi_error* error) {
  return Guarded(error, [&]() -> smi_code {
    smi_code code = smi_check_load(params, error);
    if (code == SMI_OK) code = CheckOptions(params->options, params->n_options, error);
    if (code != SMI_OK) return code;
    if (out == nullptr || !SMI_HAS(out, smi_estimate, per_call_bytes)) {
      return smi_fail(error, SMI_INVALID_ARGUMENT, "the estimate is missing or smaller than in SMI 1.0");
    }
    const Engine engine(
        std::string(params->path.data, params->path.size));  // this engine's models are all header
    out->reserved = 0;
    out->private_bytes = sizeof(smi_model) + (1 << 20);
    out->mapped_bytes = 0;
    out->device_bytes = 0;
    out->per_call_bytes = 1 << 20;
    return SMI_OK;
  });
}

smi_code Load(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error) {
  return Guarded(error, [&]() -> smi_code {
    smi_code code = smi_check_load(params, error);
    if (code == SMI_OK) code = CheckOptions(params->options, params->n_options, error);
    if (code != SMI_OK) return code;
    *model = std::make_unique<smi_model>(plugin, std::string(params->path.data, params->path.size)).release();
    ++plugin->n_models;
    return SMI_OK;
  });
}

smi_code Unload(smi_model* model, smi_error* error) {
  const smi_code code = model->MayUnload(error);
  if (code != SMI_OK) return code;
  smi_plugin* const plugin = model->plugin;
  delete model;
  --plugin->n_models;
  return SMI_OK;
}

const smi_model_info* DescribeModel(smi_model* model) { return &model->info; }

// What is wrong with the inputs is said before the call is accepted: cheap for everyone.
smi_code CheckInputs(const smi_execute_params& params, smi_error* error) {
  for (uint32_t i = 0; i < params.n_inputs; ++i) {
    // SMI_AT, not [i]: the host may know a longer smi_tensor.
    const smi_tensor* tensor = SMI_AT(params.inputs, smi_tensor, i);
    if (!smi_str_is(tensor->name, Str("x"))) {
      return smi_fail(error, SMI_BAD_INPUT, "no input '%.*s'; there is: 'x'", SMI_ARG(tensor->name));
    }
    if (tensor->dtype != SMI_FP32 || tensor->rank != 1) {
      return smi_fail(error, SMI_BAD_INPUT, "input 'x': wanted FP32 [n], got %s of rank %u",
                      smi_dtype_name(tensor->dtype), tensor->rank);
    }
  }
  if (params.n_inputs == 0) return smi_fail(error, SMI_BAD_INPUT, "input 'x' is missing: wanted FP32 [n]");
  for (uint32_t i = 0; i < params.n_outputs; ++i) {
    if (smi_str_is(params.outputs[i], Str("y"))) continue;
    return smi_fail(error, SMI_BAD_INPUT, "no output '%.*s'; there is: 'y'", SMI_ARG(params.outputs[i]));
  }
  return SMI_OK;
}

smi_code Execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                 smi_call** call, smi_error* error) {
  return Guarded(error, [&]() -> smi_code {
    smi_code code = smi_check_execute(params, sink, error);
    if (code == SMI_OK) code = CheckInputs(*params, error);
    if (code != SMI_OK) return code;
    const smi_tensor& x = *params->inputs;
    auto made = std::make_unique<smi_call>();
    made->x = static_cast<const float*>(x.data);
    made->shape.assign(x.shape, x.shape + x.rank);
    std::memcpy(&made->sink, sink, sizeof made->sink);
    made->deadline_ns = params->deadline_ns;
    made->started_ns = smi_now_ns();
    // Before the worker can see the call: afterwards it may be over, and `made` gone, at any moment.
    smi_publish_call(call, made.get());
    model->Submit(std::move(made));
    return SMI_OK;
  });
}

void Cancel(smi_model* /*model*/, smi_call* call) { call->cancelled.store(true); }

smi_code ModelStats(smi_model* model, smi_model_stats* out, smi_error* error) {
  if (out == nullptr || !SMI_HAS(out, smi_model_stats, private_bytes)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the statistics are missing or smaller than in SMI 1.0");
  }
  // The struct may be longer than ours: write what we know, leave its size as it is.
  const uint32_t size = out->struct_size;
  const std::lock_guard lock(model->mutex);
  std::memcpy(out, &model->stats, sizeof model->stats);
  out->struct_size = size;
  return SMI_OK;
}

// --- the table and the one exported symbol ------------------------------------------------------------------------

constexpr smi_plugin_api MakeTable() {
  smi_plugin_api table{};
  table.struct_size = sizeof table;
  table.version = SMI_VERSION;
  table.open = Open;
  table.close = Close;
  table.describe = Describe;
  table.estimate = Estimate;
  table.load = Load;
  table.unload = Unload;
  table.describe_model = DescribeModel;
  table.execute = Execute;
  table.cancel = Cancel;
  table.model_stats = ModelStats;
  // CHANGE: generate, tokenize for language models; left NULL they are not there.
  return table;
}

constexpr smi_plugin_api kTable = MakeTable();

}  // namespace
}  // namespace mlos_template

extern "C" SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  return smi_host_matches(host_version, error) ? &mlos_template::kTable : nullptr;
}
