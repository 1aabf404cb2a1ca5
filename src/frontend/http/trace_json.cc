// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/trace_json.h"

#include "base/json_writer.h"

namespace mlos::frontend {
namespace {

double Us(int64_t ns) { return static_cast<double>(ns) / 1000.0; }

std::string Count(uint32_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

// For people: what the request stood behind.
std::string WaitedFor(const Trace& trace) {
  std::string out;
  const auto add = [&out](const std::string& what) { out += (out.empty() ? "" : "; ") + what; };
  if (trace.of(Stage::kLoad) > 0) add("the model was loaded first");
  if (trace.queued_before > 0)
    add(Count(trace.queued_before, "request", "requests") + " waited when it came");
  if (trace.slots_busy > 0) add(Count(trace.slots_busy, "CPU slot was", "CPU slots were") + " taken");
  return out;
}

}  // namespace

std::string EncodeTrace(const Trace& trace) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("request_id").String(trace.request_id);
  w.Key("model_id").String(trace.model_id).Key("model_version").String(trace.model_version);
  w.Key("priority")
      .String(trace.priority)
      .Key("outcome")
      .String(trace.code == Code::kOk ? "ok" : CodeName(trace.code));
  if (!trace.message.empty()) w.Key("message").String(trace.message);
  w.Key("received_at").Double(static_cast<double>(trace.received_unix_ns / 1000) / 1e6);
  w.Key("total_us").Double(Us(trace.total_ns()));
  if (trace.deadline_after_ns != 0) w.Key("deadline_us").Double(Us(trace.deadline_after_ns));
  if (trace.predicted_ns > 0) w.Key("predicted_us").Double(Us(trace.predicted_ns));
  w.Key("batch_requests").Uint(trace.batch_requests).Key("batch_rows").Uint(trace.batch_rows);
  w.Key("threads").Uint(trace.threads);
  w.Key("queued_before").Uint(trace.queued_before);
  w.Key("slots_busy").Uint(trace.slots_busy).Key("slots").Uint(trace.slots);
  w.Key("waited_for").String(WaitedFor(trace));
  w.Key("stages").BeginArray();
  for (size_t i = 0; i < kStages; ++i) {
    w.BeginObject()
        .Key("stage")
        .String(StageName(static_cast<Stage>(i)))
        .Key("us")
        .Double(Us(trace.ns[i]))
        .EndObject();
  }
  w.EndArray().EndObject();
  return std::move(w).Take();
}

}  // namespace mlos::frontend
