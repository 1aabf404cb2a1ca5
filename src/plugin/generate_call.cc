// SPDX-License-Identifier: Apache-2.0
#include "plugin/generate_call.h"

#include <utility>

#include "plugin/call_table.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

// The call a sink function is meant for; null, and logged, when it is over.
std::shared_ptr<GenerateCall> FindCall(const void* ctx, const char* function) {
  const CallTable::Entry entry = CallTable::Process().Find(CallTable::FromContext(ctx));
  if (entry.call == nullptr && entry.log != nullptr) {
    entry.log->Write(LogLevel::kError, std::string(function) + " was called after done(); ignored");
  }
  return std::static_pointer_cast<GenerateCall>(entry.call);
}

}  // namespace

GenerateCall::GenerateCall(CallContext context, Request request, std::unique_ptr<ResponseSink> sink,
                           std::function<void(bool ok)> on_over)
    : Call(context, std::move(request), std::move(sink), std::move(on_over)) {}

smi_code GenerateCall::Invoke(void* ctx, smi_call** slot, smi_error* error) {
  const Generation& generation = *request_.generation;
  // Copied by the plugin before generate() returns.
  std::vector<smi_message> messages;
  for (const ChatMessage& m : generation.messages) messages.push_back({Borrow(m.role), Borrow(m.content)});
  std::vector<smi_str> stop;
  for (const std::string& s : generation.stop) stop.push_back(Borrow(s));

  smi_generate_params params{};
  params.struct_size = sizeof params;
  params.n_messages = static_cast<uint32_t>(messages.size());
  params.prompt = Borrow(generation.prompt);
  params.messages = messages.data();
  params.stop = stop.data();
  params.n_stop = static_cast<uint32_t>(stop.size());
  params.max_tokens = generation.max_tokens;
  params.temperature = generation.temperature;
  params.top_p = generation.top_p;
  params.min_p = generation.min_p;
  params.repeat_penalty = generation.repeat_penalty;
  params.top_k = generation.top_k;
  params.seed = generation.seed;
  params.deadline_ns = request_.deadline_ns;
  params.request_id = CallTable::FromContext(ctx);
  const smi_text_sink sink = {sizeof sink, 0, ctx, &OnText, &OnDone};
  return context_.library->api().generate(context_.model, &params, &sink, slot, error);
}

Status GenerateCall::Complete(Response* response) {
  response->text = std::move(text_);
  response->finish = finish_;
  response->prompt_tokens = prompt_tokens_;
  response->completion_tokens = completion_tokens_;
  return OkStatus();
}

smi_code GenerateCall::OnText(void* ctx, smi_str piece, uint32_t /*n_tokens*/) {
  const auto call = FindCall(ctx, "text()");
  if (call == nullptr) return SMI_WRONG_STATE;
  MutexLock lock(call->sink_mu_);
  if (call->IsLate("text()")) return SMI_WRONG_STATE;
  const std::string_view text = View(piece);
  call->text_ += text;
  if (!call->request_.generation->stream || text.empty()) return SMI_OK;
  return call->sink_->OnText(text) ? SMI_OK : SMI_CANCELLED;
}

void GenerateCall::OnDone(void* ctx, smi_code code, const smi_error* error,
                          const smi_generate_result* result) {
  const auto call = FindCall(ctx, "done()");
  if (call == nullptr) return;
  Timing times;
  {
    MutexLock lock(call->sink_mu_);
    if (call->IsLate("done()")) return;
    if (result != nullptr && SMI_HAS(result, smi_generate_result, eval_ns)) {
      times.queue_ns = static_cast<int64_t>(result->queue_ns);
      times.prompt_ns = static_cast<int64_t>(result->prompt_ns);
      times.eval_ns = static_cast<int64_t>(result->eval_ns);
      times.compute_ns = times.prompt_ns + times.eval_ns;
      call->finish_ = FinishFromSmi(result->finish);
      call->prompt_tokens_ = result->prompt_tokens;
      call->completion_tokens_ = result->completion_tokens;
    } else if (code == SMI_OK) {
      call->Distrust(Internal("done() came without a result"));
    }
  }
  call->Finish(code, error, times);
}

}  // namespace mlos::plugin
