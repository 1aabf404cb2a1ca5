// SPDX-License-Identifier: Apache-2.0
// One run of a model, on the calling thread.
#include <algorithm>
#include <optional>
#include <string>

#include "errors.h"
#include "model.h"
#include "onnxruntime_run_options_config_keys.h"
#include "tensors.h"

// On the stack of the thread that runs the call.
struct smi_call {
  Ort::RunOptions run_options;
  std::atomic<bool> cancelled{false};
};

namespace mlos_ort {
namespace {

// Counts a call as running, then as leaving, then no more; unload() goes by it.
class CallCount {
 public:
  explicit CallCount(smi_model& model) : model_(model), started_ns_(smi_now_ns()) {
    const std::lock_guard lock(model_.mutex);
    ++model_.stats.running;
  }
  // Before done().
  void Leave(smi_code code) {
    const std::lock_guard lock(model_.mutex);
    --model_.stats.running;
    ++model_.leaving;
    ++(code == SMI_OK ? model_.stats.calls_ok : model_.stats.calls_failed);
    model_.stats.busy_ns += static_cast<uint64_t>(smi_now_ns() - started_ns_);
  }
  ~CallCount() {
    const std::lock_guard lock(model_.mutex);
    if (--model_.leaving == 0) model_.left.notify_all();
  }
  CallCount(const CallCount&) = delete;
  CallCount& operator=(const CallCount&) = delete;

 private:
  smi_model& model_;
  const int64_t started_ns_;
};

// What goes into the engine and what comes out. Lives for one call.
class Run {
 public:
  Run(smi_model& model, const smi_execute_params& params, const smi_output_sink& sink)
      : model_(model), params_(params), sink_(sink) {}

  // Before the call is accepted: names, dtypes, shapes. Throws Failure.
  void Check();
  // Builds the inputs.
  void Prepare();
  // Blocks in the engine. Throws Ort::Exception.
  void Compute(const Ort::RunOptions& options);
  // Hands the outputs over. SMI_CANCELLED when the sink has had enough.
  smi_code Send() const;

 private:
  void CheckOutputs();
  void ReserveOutputs();
  void Call(const Ort::RunOptions& options);

  smi_model& model_;
  const smi_execute_params& params_;
  const smi_output_sink& sink_;
  Ort::Session* session_ = nullptr;
  std::vector<const smi_tensor*> given_;  // by input; null = left out
  std::vector<size_t> wanted_;            // indices of outputs
  std::vector<const char*> input_names_;
  std::vector<Ort::Value> inputs_;
  std::vector<const char*> output_names_;
  std::vector<Ort::Value> outputs_;
  bool reserved_ = false;
};

void Run::Check() {
  given_.assign(model_.inputs.size(), nullptr);
  for (uint32_t i = 0; i < params_.n_inputs; ++i) {
    const smi_tensor* tensor = SMI_AT(params_.inputs, smi_tensor, i);
    const int index = model_.FindInput(View(tensor->name));
    if (index < 0) {
      std::string names;
      for (const Port& port : model_.inputs) names += (names.empty() ? "'" : ", '") + port.name + "'";
      throw Failure(SMI_BAD_INPUT, "the model has no input '" +
                                       std::string(View(tensor->name).substr(0, 256)) +
                                       "'; there are: " + names);
    }
    CheckFit(model_.inputs[static_cast<size_t>(index)], *tensor);
    given_[static_cast<size_t>(index)] = tensor;
  }
  for (size_t i = 0; i < given_.size(); ++i) {
    const Port& port = model_.inputs[i];
    if (given_[i] != nullptr || port.missing != Default::kNone) continue;
    throw Failure(SMI_BAD_INPUT, "input '" + port.name + "' is missing: wanted " + ToString(port));
  }
  CheckOutputs();
}

void Run::CheckOutputs() {
  for (uint32_t i = 0; i < params_.n_outputs; ++i) {
    const int index = model_.FindOutput(View(params_.outputs[i]));
    if (index < 0 || std::count(wanted_.begin(), wanted_.end(), static_cast<size_t>(index)) > 0) {
      throw Failure(SMI_BAD_INPUT, "output '" + std::string(View(params_.outputs[i]).substr(0, 256)) +
                                       "' is asked for twice, or not there");
    }
    wanted_.push_back(static_cast<size_t>(index));
  }
  if (!wanted_.empty()) return;
  for (size_t i = 0; i < model_.outputs.size(); ++i) wanted_.push_back(i);
}

void Run::Prepare() {
  session_ = &model_.sessions->For(params_.n_threads);
  inputs_.reserve(given_.size());
  for (size_t i = 0; i < given_.size(); ++i) {
    const Port& port = model_.inputs[i];
    if (given_[i] != nullptr) {
      inputs_.push_back(ToValue(*given_[i], model_.memory));
    } else if (port.missing == Default::kModelsOwn) {
      continue;
    } else {
      const smi_tensor* ids = given_[static_cast<size_t>(model_.input_ids)];
      inputs_.push_back(Filled(port.type, ids->shape, ids->rank, port.missing));
    }
    input_names_.push_back(port.name.c_str());
  }
  for (const size_t index : wanted_) {
    output_names_.push_back(model_.outputs[index].name.c_str());
    outputs_.emplace_back(nullptr);
  }
  if (sink_.reserve != nullptr && model_.shapes_are_true.load(std::memory_order_relaxed)) ReserveOutputs();
}

// Lets the engine write into the host's memory where the shape is known beforehand.
void Run::ReserveOutputs() {
  std::vector<const int64_t*> shapes(given_.size());
  for (size_t i = 0; i < given_.size(); ++i) shapes[i] = given_[i] == nullptr ? nullptr : given_[i]->shape;
  const std::vector<int64_t> bound = model_.output_shapes.Bind(shapes);
  for (size_t i = 0; i < wanted_.size(); ++i) {
    const Port& port = model_.outputs[wanted_[i]];
    const uint64_t element = smi_dtype_size(port.dtype);
    const auto shape = model_.output_shapes.Resolve(wanted_[i], bound);
    uint64_t count = 0;
    uint64_t bytes = 0;
    if (element == 0 || !shape ||
        !smi_element_count(shape->data(), static_cast<uint32_t>(shape->size()), &count) ||
        __builtin_mul_overflow(count, element, &bytes) || bytes == 0) {
      continue;
    }
    void* memory = sink_.reserve(sink_.ctx, {port.name.data(), port.name.size()}, bytes);
    if (memory == nullptr) continue;
    outputs_[i] =
        Ort::Value::CreateTensor(model_.memory, memory, bytes, shape->data(), shape->size(), port.type);
    reserved_ = true;
  }
}

void Run::Call(const Ort::RunOptions& options) {
  session_->Run(options, input_names_.data(), inputs_.data(), inputs_.size(), output_names_.data(),
                outputs_.data(), outputs_.size());
}

void Run::Compute(const Ort::RunOptions& options) {
  try {
    Call(options);
  } catch (const Ort::Exception& e) {
    if (!reserved_ || std::string(e.what()).find("shape verification failed") == std::string::npos) throw;
    // The model's dimension names promise other shapes than it produces: believe them no more.
    model_.shapes_are_true.store(false);
    model_.plugin->Log(2, "a model's outputs do not have the shapes its dimension names say");
    for (Ort::Value& output : outputs_) output = Ort::Value(nullptr);
    Call(options);
  }
}

smi_code Run::Send() const {
  for (size_t i = 0; i < wanted_.size(); ++i) {
    if (SendOutput(model_.outputs[wanted_[i]], outputs_[i], sink_) != SMI_OK) return SMI_CANCELLED;
  }
  return SMI_OK;
}

void Configure(const smi_model& model, Ort::RunOptions& options) {
  // Errors go to the caller, who has them once and with what was asked.
  options.SetRunLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  if (model.shrink_arena) options.AddConfigEntry(kOrtRunOptionsConfigEnableMemoryArenaShrinkage, "cpu:0");
}

smi_code Work(Run& run, smi_call& call, int64_t deadline_ns, smi_timing& timing, smi_error& error) {
  const int64_t started_ns = smi_now_ns();
  int64_t prepared_ns = started_ns;
  int64_t computed_ns = started_ns;
  smi_code code = Guard(&error, RunCode, [&]() -> smi_code {
    run.Prepare();
    prepared_ns = smi_now_ns();
    run.Compute(call.run_options);
    computed_ns = smi_now_ns();
    const smi_code sent = run.Send();
    return sent == SMI_OK ? SMI_OK : smi_fail(&error, sent, "the sink refused an output");
  });
  const int64_t finished_ns = smi_now_ns();
  if (code != SMI_OK && call.cancelled.load()) {
    const bool late = deadline_ns != 0 && finished_ns >= deadline_ns;
    code = late ? smi_fail(&error, SMI_DEADLINE_EXCEEDED, "the deadline passed while the model ran")
                : smi_fail(&error, SMI_CANCELLED, "cancelled while the model ran");
  }
  timing.prepare_ns = static_cast<uint64_t>(prepared_ns - started_ns);
  timing.compute_ns = static_cast<uint64_t>(std::max(computed_ns, prepared_ns) - prepared_ns);
  timing.finish_ns = static_cast<uint64_t>(finished_ns - std::max(computed_ns, prepared_ns));
  return code;
}

}  // namespace

smi_code Execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                 smi_call** call, smi_error* error) {
  const smi_code checked = smi_check_execute(params, sink, error);
  if (checked != SMI_OK) return checked;
  std::optional<Run> run;
  std::optional<smi_call> made;
  const smi_code accepted = Guard(error, RunCode, [&]() -> smi_code {
    run.emplace(*model, *params, *sink);
    run->Check();
    made.emplace();
    Configure(*model, made->run_options);
    return SMI_OK;
  });
  if (accepted != SMI_OK) return accepted;

  smi_error why{};
  why.struct_size = sizeof why;
  smi_timing timing{};
  timing.struct_size = sizeof timing;
  CallCount count(*model);
  smi_publish_call(call, &*made);
  const smi_code code = Work(*run, *made, params->deadline_ns, timing, why);
  count.Leave(code);
  // The engine's tensors may lie in the host's memory, which is the host's again with done().
  run.reset();
  sink->done(sink->ctx, code, code == SMI_OK ? nullptr : &why, &timing);
  return SMI_OK;
}

void Cancel(smi_model* /*model*/, smi_call* call) {
  call->cancelled.store(true);
  call->run_options.SetTerminate();
}

}  // namespace mlos_ort
