// SPDX-License-Identifier: Apache-2.0
#include "plugin/local_instance.h"

#include <chrono>
#include <utility>

#include "base/clock.h"
#include "plugin/execute_call.h"
#include "plugin/generate_call.h"
#include "plugin/input_check.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

constexpr int kUnloadTries = 200;
constexpr std::chrono::milliseconds kUnloadPause{5};

}  // namespace

BorrowedLoadParams::BorrowedLoadParams(const LoadOptions& load)
    : package_dir(load.package_dir.string()),
      path(load.model_path.string()),
      options(BorrowOptions(load.options)) {
  params.struct_size = sizeof params;
  params.n_threads = load.n_threads;
  params.package_dir = Borrow(package_dir);
  params.path = Borrow(path);
  params.format = Borrow(load.format);
  params.context_length = load.context_length;
  params.max_sequences = load.max_sequences;
  params.options = options.data();
  params.n_options = static_cast<uint32_t>(options.size());
}

LocalInstance::LocalInstance(std::shared_ptr<PluginLibrary> library, std::shared_ptr<DeadlineTimer> timer,
                             smi_model* model)
    : library_(std::move(library)), timer_(std::move(timer)), model_(model) {}

Result<std::unique_ptr<Instance>> LocalInstance::Load(std::shared_ptr<PluginLibrary> library,
                                                      std::shared_ptr<DeadlineTimer> timer,
                                                      const LoadOptions& options) {
  const BorrowedLoadParams load(options);
  smi_error error = EmptyError();
  smi_model* model = nullptr;
  const smi_code code = library->api().load(library->plugin(), &load.params, &model, &error);
  if (code != SMI_OK) return StatusFromSmi(code, &error, library->id());
  if (model == nullptr) return Internal("plugin '" + library->id() + "': load gave no model");
  std::unique_ptr<LocalInstance> instance(new LocalInstance(std::move(library), std::move(timer), model));
  const PluginLibrary& plugin = *instance->library_;
  const smi_model_info* info = plugin.api().describe_model(model);
  MLOS_ASSIGN_OR_RETURN(instance->interface_, InterfaceFromSmi(info, plugin.id()));
  instance->concurrent_ = (info->capabilities & SMI_CAP_CONCURRENT) != 0;
  const ModelInterface& described = instance->interface_;
  if ((described.executes && plugin.api().execute == nullptr) ||
      (described.generates && plugin.api().generate == nullptr)) {
    return Internal("plugin '" + plugin.id() + "': the model promises what the plugin's table lacks");
  }
  return std::unique_ptr<Instance>(std::move(instance));
}

LocalInstance::~LocalInstance() {
  {
    MutexLock lock(mu_);
    while (running_ > 0 || waiting_ > 0) idle_.Wait(mu_);
  }
  Unload();
}

void LocalInstance::Unload() {
  smi_error error = EmptyError();
  smi_code code = SMI_OK;
  // done() has been called for every call; a plugin may need a moment to see that itself.
  for (int i = 0; i < kUnloadTries; ++i) {
    code = library_->api().unload(model_, &error);
    if (code != SMI_WRONG_STATE) break;
    MutexLock lock(mu_);
    idle_.WaitFor(mu_, kUnloadPause);
  }
  if (code == SMI_OK) return;
  library_->log()->Write(LogLevel::kError, "a model could not be unloaded: " +
                                               StatusFromSmi(code, &error, library_->id()).ToString());
}

InstanceStats LocalInstance::stats() const {
  InstanceStats out;
  smi_model_stats stats{};
  stats.struct_size = sizeof stats;
  smi_error error = EmptyError();
  // Only what the host cannot count itself is the plugin's word.
  if (library_->api().model_stats(model_, &stats, &error) == SMI_OK) {
    out.tokens_prompt = stats.tokens_prompt;
    out.tokens_generated = stats.tokens_generated;
    out.private_bytes = stats.private_bytes;
  }
  MutexLock lock(mu_);
  out.calls_ok = ok_;
  out.calls_failed = failed_;
  out.running = running_;
  out.busy_ns = busy_ns_;
  return out;
}

// Takes a place among the running calls, which is the only one when the model cannot overlap calls.
void LocalInstance::AwaitTurn() {
  MutexLock lock(mu_);
  ++waiting_;
  while (!concurrent_ && running_ > 0) turn_.Wait(mu_);
  --waiting_;
  ++running_;
}

void LocalInstance::Run(Request request, std::unique_ptr<ResponseSink> sink) {
  Status checked = CheckRequest(interface_, request);
  if (!checked.ok()) {
    {
      MutexLock lock(mu_);
      ++failed_;
    }
    sink->OnDone(std::move(checked), Response());
    return;
  }
  AwaitTurn();
  const CallContext context = {library_.get(), model_, timer_.get()};
  auto on_over = [this, started_ns = Clock::Real().MonotonicNs()](bool ok) { Ended(ok, started_ns); };
  std::shared_ptr<Call> call;
  if (request.generation) {
    call = std::make_shared<GenerateCall>(context, std::move(request), std::move(sink), std::move(on_over));
  } else {
    call = std::make_shared<ExecuteCall>(context, interface_, std::move(request), std::move(sink),
                                         std::move(on_over));
  }
  call->Start();
}

void LocalInstance::Ended(bool ok, int64_t started_ns) {
  const int64_t now_ns = Clock::Real().MonotonicNs();
  MutexLock lock(mu_);
  ++(ok ? ok_ : failed_);
  busy_ns_ += now_ns - started_ns;
  // Notified under the lock: the destructor may run as soon as it is free.
  if (--running_ > 0) return;
  turn_.NotifyOne();
  if (waiting_ == 0) idle_.NotifyAll();
}

Result<Estimate> EstimateWith(const PluginLibrary& library, const LoadOptions& options) {
  const BorrowedLoadParams load(options);
  smi_estimate estimate{};
  estimate.struct_size = sizeof estimate;
  smi_error error = EmptyError();
  const smi_code code = library.api().estimate(library.plugin(), &load.params, &estimate, &error);
  if (code != SMI_OK) return StatusFromSmi(code, &error, library.id());
  return Estimate{estimate.private_bytes, estimate.mapped_bytes, estimate.device_bytes,
                  estimate.per_call_bytes};
}

}  // namespace mlos::plugin
