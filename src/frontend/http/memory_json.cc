// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/memory_json.h"

#include "base/json_writer.h"
#include "frontend/http/control_json.h"
#include "infer/keep_alive.h"
#include "wire/json_keep_alive.h"

namespace mlos::frontend {
namespace {

using serving::MemoryStatus;
using serving::ModelProcess;
using serving::ModelStatus;

double Ms(int64_t ns) { return static_cast<double>(ns / 1000) / 1000.0; }

// Null when there is nothing to say.
void MaybeMs(JsonWriter* w, std::string_view key, int64_t ns, bool known) {
  w->Key(key);
  if (known) {
    w->Double(Ms(ns));
  } else {
    w->Null();
  }
}

void MaybeBytes(JsonWriter* w, std::string_view key, uint64_t bytes, bool known) {
  w->Key(key);
  if (known) {
    w->Uint(bytes);
  } else {
    w->Null();
  }
}

void WriteMemory(JsonWriter* w, const MemoryStatus& m, int64_t now_ns) {
  w->BeginObject().Key("budget_bytes").Uint(m.budget_bytes).Key("budget_source").String(m.budget_source);
  w->Key("leased_bytes").Uint(m.leased_bytes).Key("shared_bytes").Uint(m.shared_bytes);
  w->Key("reserved_bytes").Uint(m.reserved_bytes);
  w->Key("free_bytes").Uint(m.budget_bytes > m.leased_bytes ? m.budget_bytes - m.leased_bytes : 0);
  w->Key("pressure").String(m.pressure);
  w->Key("waits").Uint(m.waits).Key("refused").Uint(m.refused).Key("corrections").Uint(m.corrections);
  w->Key("evictions").BeginObject();
  for (const auto& [reason, count] : m.evictions) w->Key(reason).Uint(count);
  w->EndObject().Key("waiting").BeginArray();
  for (const MemoryStatus::Waiter& waiter : m.waiting) {
    w->BeginObject().Key("model_id").String(waiter.model_id).Key("bytes").Uint(waiter.bytes);
    w->Key("waited_ms").Double(Ms(now_ns - waiter.since_ns));
    MaybeMs(w, "predicted_ms", waiter.predicted_ns, waiter.predicted_ns >= 0);
    w->Key("reason").String(waiter.reason).EndObject();
  }
  w->EndArray().EndObject();
}

void WriteModel(JsonWriter* w, const ModelProcess& p) {
  const ModelStatus& m = p.status;
  w->BeginObject().Key("id").String(m.id).Key("name").String(m.name).Key("version").String(m.version);
  w->Key("state").String(StateName(m.state)).Key("latest").Bool(m.is_latest).Key("pinned").Bool(m.pinned);
  w->Key("draining").Bool(m.draining).Key("plugin_id").String(m.plugin_id);
  w->Key("pid");
  if (p.loaded && p.pid != 0) {
    w->Int(p.pid);
  } else {
    w->Null();
  }
  MaybeBytes(w, "private_bytes", p.private_bytes, p.measured);
  MaybeBytes(w, "mapped_bytes", p.mapped_bytes, p.measured && p.pid != 0);
  MaybeBytes(w, "pss_bytes", p.pss_bytes, p.measured && p.pid != 0);
  MaybeBytes(w, "lease_private_bytes", m.lease_private_bytes, p.loaded);
  MaybeBytes(w, "lease_shared_bytes", m.lease_shared_bytes, p.loaded);
  w->Key("queued").Uint(m.activity.queued).Key("running").Uint(m.activity.running);
  w->Key("waiting").Uint(m.waiters).Key("users").Uint(m.users);
  MaybeMs(w, "p50_ms", m.activity.p50_ns, m.activity.p50_ns > 0);
  MaybeMs(w, "p90_ms", m.activity.p90_ns, m.activity.p90_ns > 0);
  MaybeMs(w, "p99_ms", m.activity.p99_ns, m.activity.p99_ns > 0);
  w->Key("requests_ok").Uint(m.requests_ok).Key("requests_failed").Uint(m.requests_failed);
  w->Key("keep_alive").String(KeepAliveText(m.keep_alive_ns));
  MaybeMs(w, "expires_in_ms", m.expires_in_ns, m.expires_in_ns >= 0);
  w->Key("restarts").Uint(p.restarts).Key("loads").Uint(m.loads).Key("unloads").Uint(m.unloads);
  MaybeMs(w, "load_ms", m.load_ns, m.load_ns > 0);
  if (!m.waits_for.empty()) {
    w->Key("waits_for").String(m.waits_for);
    MaybeMs(w, "predicted_wait_ms", m.predicted_wait_ns, m.predicted_wait_ns >= 0);
  }
  if (!m.error.empty()) w->Key("error").String(m.error);
  w->EndObject();
}

}  // namespace

Result<serving::LoadRequest> DecodeLoad(std::string_view body, const std::string& model_id) {
  serving::LoadRequest out{.model_id = model_id};
  wire::JsonCursor cursor(body);
  if (cursor.Peek() == 0) return out;
  if (cursor.Peek() != '{')
    return InvalidArgument("the request body is not a JSON object, found " + cursor.DescribeNext());
  MLOS_RETURN_IF_ERROR(cursor.ForEachMember([&](const std::string& key) -> Status {
    if (key == "keep_alive") {
      MLOS_ASSIGN_OR_RETURN(out.keep_alive_ns, wire::ReadKeepAlive(cursor, key));
      return OkStatus();
    }
    if (key != "pin") return Unprocessable("unknown key '" + key + "'; known: keep_alive, pin");
    const char next = cursor.Peek();
    if (next != 't' && next != 'f')
      return Unprocessable("'pin': wanted true or false, got " + cursor.DescribeNext());
    bool pin = false;
    MLOS_RETURN_IF_ERROR(cursor.ReadBool(&pin));
    out.pinned = pin;
    return OkStatus();
  }));
  MLOS_RETURN_IF_ERROR(cursor.ExpectEnd());
  return out;
}

std::string EncodeProcesses(const serving::ProcessReport& report, int64_t now_ns) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("memory");
  WriteMemory(&w, report.memory, now_ns);
  w.Key("models").BeginArray();
  for (const ModelProcess& process : report.models) WriteModel(&w, process);
  w.EndArray().Key("total").Uint(report.models.size()).EndObject();
  return std::move(w).Take();
}

std::string EncodeLoaded(const ModelStatus& model) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("model_id").String(model.id);
  w.Key("state").String(StateName(model.state)).Key("load_ms").Double(Ms(model.load_ns));
  w.Key("keep_alive").String(KeepAliveText(model.keep_alive_ns)).Key("pinned").Bool(model.pinned).EndObject();
  return std::move(w).Take();
}

std::string EncodeUnloaded(std::string_view model_id, const serving::UnloadReport& report) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("model_id").String(model_id);
  w.Key("unloaded").Bool(report.unloaded).Key("users").Uint(report.users).EndObject();
  return std::move(w).Take();
}

std::string EncodeLatest(const ModelStatus& model) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("latest").String(model.id).EndObject();
  return std::move(w).Take();
}

std::string EncodeModelReady(const ModelStatus& model) {
  JsonWriter w;
  w.BeginObject().Key("model_id").String(model.id).Key("state").String(StateName(model.state));
  w.Key("ready").Bool(model.state == serving::ModelState::kReady).EndObject();
  return std::move(w).Take();
}

}  // namespace mlos::frontend
