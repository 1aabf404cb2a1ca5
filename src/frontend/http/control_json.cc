// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/control_json.h"

#include <charconv>

#include "base/json_writer.h"
#include "infer/keep_alive.h"
#include "wire/json_cursor.h"
#include "wire/json_keep_alive.h"

namespace mlos::frontend {
namespace {

using serving::ModelStatus;

double Ms(int64_t ns) { return static_cast<double>(ns / 1000) / 1000.0; }

// The original's word for a model that answers.
std::string_view OriginalState(serving::ModelState state) {
  return state == serving::ModelState::kReady ? "loaded" : StateName(state);
}

void WriteStrings(JsonWriter* w, std::string_view key, const std::vector<std::string>& values) {
  w->Key(key).BeginArray();
  for (const std::string& value : values) w->String(value);
  w->EndArray();
}

void WriteSpecs(JsonWriter* w, std::string_view key, const std::vector<TensorSpec>& specs, bool inputs) {
  w->Key(key).BeginArray();
  for (const TensorSpec& spec : specs) {
    w->BeginObject().Key("name").String(spec.name).Key("datatype").String(DTypeName(spec.dtype));
    w->Key("shape").BeginArray();
    for (const int64_t dim : spec.shape) w->Int(dim);
    w->EndArray();
    WriteStrings(w, "dim_names", spec.dim_names);
    if (inputs) w->Key("optional").Bool(spec.optional);
    if (!spec.description.empty()) w->Key("description").String(spec.description);
    w->EndObject();
  }
  w->EndArray();
}

void WriteInterface(JsonWriter* w, const ModelInterface& model) {
  WriteSpecs(w, "inputs", model.inputs, true);
  WriteSpecs(w, "outputs", model.outputs, false);
  w->Key("executes").Bool(model.executes).Key("generates").Bool(model.generates);
  w->Key("accepts_text").Bool(model.accepts_text).Key("has_chat_template").Bool(model.has_chat_template);
  if (model.context_length > 0) w->Key("context_length").Uint(model.context_length);
  if (model.embedding_length > 0) w->Key("embedding_length").Uint(model.embedding_length);
  w->Key("batch_dimension").Int(model.batch_dimension);
}

void WriteSummary(JsonWriter* w, const ModelStatus& model) {
  w->Key("name").String(model.name).Key("version").String(model.version);
  w->Key("plugin_id").String(model.plugin_id).Key("framework").String(model.framework);
  w->Key("execution_format").String(model.execution_format).Key("path").String(model.path);
  if (!model.error.empty()) w->Key("error").String(model.error);
}

void WriteRefused(JsonWriter* w, const std::array<uint64_t, serving::kRefusals>& refused) {
  w->Key("refused").BeginObject();
  for (size_t i = 0; i < serving::kRefusals; ++i) {
    w->Key(serving::RefusalName(static_cast<serving::Refusal>(i))).Uint(refused[i]);
  }
  w->EndObject();
}

void WriteActivity(JsonWriter* w, const serving::ModelActivity& a) {
  w->Key("queued").Uint(a.queued).Key("running").Uint(a.running).Key("executions").Uint(a.executions);
  w->Key("p50_ms").Double(Ms(a.p50_ns)).Key("p90_ms").Double(Ms(a.p90_ns)).Key("p99_ms").Double(Ms(a.p99_ns));
  if (a.predicts) w->Key("prediction_error").Double(a.prediction_error);
  WriteRefused(w, a.refused);
}

}  // namespace

std::string_view StateName(serving::ModelState state) {
  static constexpr std::string_view kNames[] = {"registered", "waiting", "loading", "ready", "failed"};
  return kNames[static_cast<size_t>(state)];
}

Result<serving::RegisterRequest> DecodeRegister(std::string_view body) {
  serving::RegisterRequest out;
  std::string name;
  std::string model_path;
  wire::JsonCursor cursor(body);
  if (cursor.Peek() != '{')
    return InvalidArgument("the request body is not a JSON object, found " + cursor.DescribeNext());
  const Status read = cursor.ForEachMember([&](const std::string& key) -> Status {
    std::string* target = nullptr;
    if (key == "keep_alive") {
      MLOS_ASSIGN_OR_RETURN(out.keep_alive_ns, wire::ReadKeepAlive(cursor, key));
      return OkStatus();
    }
    if (key == "pinned") {
      if (cursor.Peek() != 't' && cursor.Peek() != 'f')
        return Unprocessable("'pinned': wanted true or false, got " + cursor.DescribeNext());
      return cursor.ReadBool(&out.pinned);
    }
    if (key == "max_batch") {
      std::string_view number;
      if (cursor.Peek() < '0' || cursor.Peek() > '9')
        return Unprocessable("'max_batch': wanted a number of rows, got " + cursor.DescribeNext());
      MLOS_RETURN_IF_ERROR(cursor.ReadNumberText(&number));
      const auto [end, problem] =
          std::from_chars(number.data(), number.data() + number.size(), out.max_batch);
      if (problem == std::errc() && end == number.data() + number.size()) return OkStatus();
      return Unprocessable("'max_batch': wanted a number of rows, got " + std::string(number));
    }
    if (key == "model_id") target = &out.model_id;
    if (key == "name") target = &name;
    if (key == "path") target = &out.path;
    if (key == "model_path") target = &model_path;
    if (key == "manifest_path") target = &out.manifest_path;
    if (key == "plugin_id") target = &out.plugin_id;
    if (key == "execution_format") target = &out.execution_format;
    if (key == "framework") target = &out.framework;
    if (key == "description") target = &out.description;
    if (key == "isolation") target = &out.isolation;
    if (key == "batching") target = &out.batching;
    if (target == nullptr) {
      return Unprocessable("unknown key '" + key +
                           "'; known: model_id, name, path, model_path, manifest_path, plugin_id, "
                           "execution_format, framework, description, isolation, batching, max_batch, "
                           "keep_alive, pinned");
    }
    if (cursor.Peek() != '"')
      return Unprocessable("'" + key + "': wanted a string, got " + cursor.DescribeNext());
    MLOS_RETURN_IF_ERROR(cursor.ReadString(target));
    return target->find('\0') == std::string::npos ? OkStatus()
                                                   : Unprocessable("'" + key + "' holds a NUL character");
  });
  MLOS_RETURN_IF_ERROR(read);
  MLOS_RETURN_IF_ERROR(cursor.ExpectEnd());
  if (out.model_id.empty()) out.model_id = name;
  if (out.model_id.empty()) return Unprocessable("'model_id' is missing: wanted \"namespace/name@version\"");
  if (out.path.empty()) {
    out.path = model_path;
  } else if (!model_path.empty() && model_path != out.path) {
    return Unprocessable("'path' and 'model_path' differ; send one of them");
  }
  if (out.path.empty() && out.manifest_path.empty())
    return Unprocessable("'path' is missing: wanted a package folder or a model file");
  return out;
}

std::string EncodeHealth(std::string_view version, const HttpConfig::Runtime& runtime, bool ready,
                         int64_t unix_s) {
  JsonWriter w;
  w.BeginObject()
      .Key("status")
      .String("healthy")
      .Key("service")
      .String("mlos-core")
      .Key("version")
      .String(version);
  w.Key("apis").BeginArray().String("http").EndArray();
  w.Key("timestamp").Int(unix_s).Key("runtime_mode").String(runtime.mode);
  if (!runtime.why.empty()) w.Key("runtime_reason").String(runtime.why);
  w.Key("ready").Bool(ready).EndObject();
  return std::move(w).Take();
}

std::string EncodeStats(const serving::ServerStats& stats, uint16_t http_port) {
  const uint64_t answered = stats.requests_ok + stats.requests_failed;
  const int64_t average_ns = answered > 0 ? stats.latency_sum_ns / static_cast<int64_t>(answered) : 0;
  JsonWriter w;
  w.BeginObject().Key("total_requests").Uint(stats.requests_total);
  w.Key("successful_requests").Uint(stats.requests_ok).Key("failed_requests").Uint(stats.requests_failed);
  w.Key("avg_response_time_us").Double(static_cast<double>(average_ns) / 1000.0);
  w.Key("uptime_seconds").Int(stats.uptime_ns / 1'000'000'000);
  w.Key("queued").Uint(stats.queued).Key("running").Uint(stats.running);
  WriteRefused(&w, stats.refused);
  w.Key("apis").BeginObject();
  w.Key("http").BeginObject().Key("enabled").Bool(true).Key("port").Uint(http_port).EndObject();
  w.Key("grpc").BeginObject().Key("enabled").Bool(false).Key("port").Uint(0).EndObject();
  w.Key("ipc").BeginObject().Key("enabled").Bool(false).Key("path").String("").EndObject();
  w.EndObject().EndObject();
  return std::move(w).Take();
}

std::string EncodePlugins(const std::vector<serving::PluginStatus>& plugins) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("plugins").BeginArray();
  for (const serving::PluginStatus& plugin : plugins) {
    w.BeginObject().Key("id").String(plugin.id).Key("name").String(plugin.id).Key("status").String("loaded");
    WriteStrings(&w, "models", plugin.models);
    w.Key("version")
        .String(plugin.version)
        .Key("engine_version")
        .String(plugin.engine_version)
        .Key("path")
        .String(plugin.path);
    WriteStrings(&w, "formats", plugin.formats);
    WriteStrings(&w, "frameworks", plugin.frameworks);
    WriteStrings(&w, "capabilities", plugin.capabilities);
    w.EndObject();
  }
  w.EndArray().Key("total").Uint(plugins.size()).EndObject();
  return std::move(w).Take();
}

std::string EncodeDoctor(std::string_view version, serving::Service& service) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("version").String(version).Key("ready").Bool(
      service.Ready());
  w.Key("plugins").BeginArray();
  for (const serving::PluginStatus& plugin : service.ListPlugins()) {
    w.BeginObject().Key("id").String(plugin.id).Key("version").String(plugin.version);
    w.Key("engine_version").String(plugin.engine_version).Key("path").String(plugin.path).EndObject();
  }
  const serving::Service::WorkerGroups groups = service.DescribeWorkerGroups();
  w.EndArray().Key("worker_groups").BeginObject().Key("in_force").Bool(groups.in_force);
  w.Key("detail").String(groups.detail).EndObject();
  w.Key("workers").BeginArray();
  for (const serving::WorkerStatus& worker : service.ListWorkers()) {
    w.BeginObject().Key("model_id").String(worker.model_id).Key("plugin_id").String(worker.plugin_id);
    w.Key("isolation").String(worker.pid == 0 ? "none" : "process").Key("pid").Int(worker.pid);
    w.Key("restarts").Uint(worker.restarts).Key("sandbox").BeginArray();
    for (const os::MechanismState& state : worker.sandbox.mechanisms) {
      w.BeginObject().Key("mechanism").String(os::MechanismName(state.mechanism));
      w.Key("state").String(os::StateName(state.state)).Key("detail").String(state.detail).EndObject();
    }
    w.EndArray().EndObject();
  }
  w.EndArray().EndObject();
  return std::move(w).Take();
}

std::string EncodeModels(const std::vector<ModelStatus>& models) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("models").BeginArray();
  for (const ModelStatus& model : models) {
    w.BeginObject().Key("id").String(model.id).Key("status").String(OriginalState(model.state));
    WriteSummary(&w, model);
    w.Key("latest").Bool(model.is_latest).Key("pinned").Bool(model.pinned);
    w.EndObject();
  }
  w.EndArray().Key("total").Uint(models.size()).EndObject();
  return std::move(w).Take();
}

std::string EncodeModel(const ModelStatus& model) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success").Key("model_id").String(model.id);
  w.Key("state").String(StateName(model.state));
  WriteSummary(&w, model);
  w.Key("description").String(model.description);
  w.Key("latest").Bool(model.is_latest).Key("pinned").Bool(model.pinned);
  w.Key("keep_alive").String(KeepAliveText(model.keep_alive_ns));
  if (!model.isolation.empty()) {
    w.Key("isolation").String(model.isolation).Key("batching").String(model.batching);
    w.Key("max_batch").Uint(model.max_batch);
  }
  if (!model.waits_for.empty()) w.Key("waits_for").String(model.waits_for);
  w.Key("inference_endpoint").String("/models/" + model.id + "/inference");
  if (model.interface != nullptr) WriteInterface(&w, *model.interface);
  w.Key("statistics").BeginObject();
  w.Key("requests_ok").Uint(model.requests_ok).Key("requests_failed").Uint(model.requests_failed);
  WriteActivity(&w, model.activity);
  w.Key("load_ms")
      .Double(Ms(model.load_ns))
      .Key("registered_at")
      .Int(model.registered_unix_ns / 1'000'000'000);
  w.EndObject().EndObject();
  return std::move(w).Take();
}

std::string EncodeRegistered(const ModelStatus& model, std::string_view manifest_path) {
  JsonWriter w;
  w.BeginObject()
      .Key("status")
      .String("success")
      .Key("model_id")
      .String(model.id)
      .Key("plugin_id")
      .String(model.plugin_id);
  w.Key("message").String("model registered and loaded").Key("axon_manifest").String(manifest_path);
  w.Key("inference_endpoint").String("/models/" + model.id + "/inference");
  w.Key("state").String(StateName(model.state)).Key("execution_format").String(model.execution_format);
  w.Key("load_ms").Double(Ms(model.load_ns));
  if (!model.note.empty()) w.Key("note").String(model.note);
  w.EndObject();
  return std::move(w).Take();
}

std::string EncodeUnregistered(std::string_view model_id) {
  JsonWriter w;
  w.BeginObject()
      .Key("status")
      .String("success")
      .Key("model_id")
      .String(model_id)
      .Key("message")
      .String("model unregistered")
      .EndObject();
  return std::move(w).Take();
}

std::string EncodeScan(const serving::ScanResult& result) {
  JsonWriter w;
  w.BeginObject().Key("status").String("success");
  WriteStrings(&w, "registered", result.registered);
  w.Key("failed").BeginArray();
  for (const auto& [id, status] : result.failed) {
    w.BeginObject()
        .Key("model_id")
        .String(id)
        .Key("code")
        .String(CodeName(status.code()))
        .Key("message")
        .String(status.message())
        .EndObject();
  }
  w.EndArray().Key("total").Uint(result.registered.size()).EndObject();
  return std::move(w).Take();
}

}  // namespace mlos::frontend
