// SPDX-License-Identifier: Apache-2.0
#include "plugin/execute_call.h"

#include <utility>

#include "plugin/call_table.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

// The call a sink function is meant for; null, and logged, when it is over.
std::shared_ptr<ExecuteCall> FindCall(const void* ctx, const char* function) {
  const CallTable::Entry entry = CallTable::Process().Find(CallTable::FromContext(ctx));
  if (entry.call == nullptr && entry.log != nullptr) {
    entry.log->Write(LogLevel::kError, std::string(function) + " was called after done(); ignored");
  }
  return std::static_pointer_cast<ExecuteCall>(entry.call);
}

smi_tensor Borrowed(NamedTensor& input) {
  smi_tensor out{};
  out.struct_size = sizeof out;
  out.dtype = static_cast<smi_dtype>(input.tensor.dtype());
  out.name = Borrow(input.name);
  out.shape = input.tensor.shape().data();
  out.rank = static_cast<uint32_t>(input.tensor.shape().size());
  out.memory = SMI_MEMORY_HOST;
  out.data = input.tensor.data().data();
  out.size_bytes = input.tensor.data().size();
  return out;
}

}  // namespace

ExecuteCall::ExecuteCall(CallContext context, const ModelInterface& interface, Request request,
                         std::unique_ptr<ResponseSink> sink, std::function<void(bool ok)> on_over)
    : Call(context, std::move(request), std::move(sink), std::move(on_over)),
      outputs_(interface, request_.outputs, request_.output_arena) {
  inputs_.reserve(request_.inputs.size());
  for (NamedTensor& input : request_.inputs) inputs_.push_back(Borrowed(input));
  wanted_.reserve(request_.outputs.size());
  for (const std::string& name : request_.outputs) wanted_.push_back(Borrow(name));
}

smi_code ExecuteCall::Invoke(void* ctx, smi_call** slot, smi_error* error) {
  smi_execute_params params{};
  params.struct_size = sizeof params;
  params.n_inputs = static_cast<uint32_t>(inputs_.size());
  params.inputs = inputs_.data();
  params.outputs = wanted_.data();
  params.n_outputs = static_cast<uint32_t>(wanted_.size());
  params.n_threads = request_.n_threads;
  params.deadline_ns = request_.deadline_ns;
  params.request_id = CallTable::FromContext(ctx);
  const smi_output_sink sink = {sizeof sink, 0, ctx, &OnOutput, &OnDone, &OnReserve};
  return context_.library->api().execute(context_.model, &params, &sink, slot, error);
}

Status ExecuteCall::Complete(Response* response) {
  MLOS_ASSIGN_OR_RETURN(response->outputs, outputs_.Finish());
  return OkStatus();
}

smi_code ExecuteCall::OnOutput(void* ctx, const smi_tensor* tensor, uint32_t part) {
  const auto call = FindCall(ctx, "output()");
  if (call == nullptr) return SMI_WRONG_STATE;
  MutexLock lock(call->sink_mu_);
  if (call->IsLate("output()")) return SMI_WRONG_STATE;
  Status taken = call->outputs_.Take(tensor, part);
  if (taken.ok()) return SMI_OK;
  call->Distrust(std::move(taken));
  return SMI_INVALID_ARGUMENT;
}

void ExecuteCall::OnDone(void* ctx, smi_code code, const smi_error* error, const smi_timing* timing) {
  const auto call = FindCall(ctx, "done()");
  if (call == nullptr) return;
  Timing times;
  if (timing != nullptr && SMI_HAS(timing, smi_timing, finish_ns)) {
    times.prepare_ns = static_cast<int64_t>(timing->prepare_ns);
    times.compute_ns = static_cast<int64_t>(timing->compute_ns);
    times.finish_ns = static_cast<int64_t>(timing->finish_ns);
  }
  call->Finish(code, error, times);
}

void* ExecuteCall::OnReserve(void* ctx, smi_str name, uint64_t size_bytes) {
  const auto call = FindCall(ctx, "reserve()");
  if (call == nullptr) return nullptr;
  MutexLock lock(call->sink_mu_);
  return call->IsLate("reserve()") ? nullptr : call->outputs_.Reserve(View(name), size_bytes);
}

}  // namespace mlos::plugin
