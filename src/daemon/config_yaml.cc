// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/yaml.h>

#include <limits>
#include <map>

#include "daemon/config.h"
#include "infer/keep_alive.h"

namespace mlos::daemon {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;

Status At(const YAML::Node& node, const std::string& what) {
  return InvalidArgument("config line " + std::to_string(node.Mark().line + 1) + ": " + what);
}

template <typename T>
Status Read(const YAML::Node& node, const std::string& key, const char* wanted, T* out) {
  try {
    *out = node.as<T>();
    return OkStatus();
  } catch (const YAML::Exception&) {
    return At(node, "'" + key + "' wants " + wanted);
  }
}

Status ReadNumber(const YAML::Node& node, const std::string& key, int64_t lo, int64_t hi, int64_t* out) {
  MLOS_RETURN_IF_ERROR(Read(node, key, "a whole number", out));
  if (*out < lo || *out > hi) {
    return At(node, "'" + key + "' is " + std::to_string(*out) + ", wanted " + std::to_string(lo) + ".." +
                        std::to_string(hi));
  }
  return OkStatus();
}

using Setter = std::function<Status(const YAML::Node&, const std::string& key)>;

template <typename T>
Setter Number(int64_t lo, int64_t hi, T* out) {
  return [=](const YAML::Node& node, const std::string& key) -> Status {
    int64_t value = 0;
    MLOS_RETURN_IF_ERROR(ReadNumber(node, key, lo, hi, &value));
    *out = T(value);
    return OkStatus();
  };
}

template <typename T>
Setter Text(T* out) {
  return [=](const YAML::Node& node, const std::string& key) -> Status {
    std::string value;
    MLOS_RETURN_IF_ERROR(Read(node, key, "text", &value));
    *out = value;
    return OkStatus();
  };
}

Setter OneOf(std::vector<std::string> words, std::string* out) {
  return [words = std::move(words), out](const YAML::Node& node, const std::string& key) -> Status {
    // YAML 1.1 reads these words as truth values; here they are words.
    const std::string value = node.IsScalar() ? node.Scalar() : "";
    std::string known;
    for (const std::string& word : words) {
      if (word == value) {
        *out = value;
        return OkStatus();
      }
      known += (known.empty() ? "" : ", ") + word;
    }
    return At(node, "'" + key + "' wants one of " + known);
  };
}

template <typename T>
Setter List(std::vector<T>* out) {
  return [=](const YAML::Node& node, const std::string& key) -> Status {
    std::vector<std::string> values;
    MLOS_RETURN_IF_ERROR(Read(node, key, "a list of text", &values));
    out->assign(values.begin(), values.end());
    return OkStatus();
  };
}

Setter Bool(bool* out) {
  return
      [=](const YAML::Node& node, const std::string& key) { return Read(node, key, "true or false", out); };
}

Setter KeepAlive(int64_t* out) {
  return [=](const YAML::Node& node, const std::string& key) -> Status {
    std::string text;
    MLOS_RETURN_IF_ERROR(Read(node, key, "a duration", &text));
    const Result<int64_t> value = ParseKeepAlive(text);
    if (!value.ok()) return At(node, "'" + key + "': " + value.status().message());
    *out = *value;
    return OkStatus();
  };
}

// A feature this build lacks: it may be switched off, never on.
Setter Unsupported(std::string why) {
  return [why = std::move(why)](const YAML::Node& node, const std::string& key) -> Status {
    bool on = false;
    MLOS_RETURN_IF_ERROR(Read(node, key, "true or false", &on));
    return on ? At(node, "'" + key + ": true' is unsupported: " + why) : OkStatus();
  };
}

std::map<std::string, Setter> Keys(Config* c) {
  return {
      {"api.http.enabled",
       [](const YAML::Node& node, const std::string& key) -> Status {
         bool on = true;
         MLOS_RETURN_IF_ERROR(Read(node, key, "true or false", &on));
         return on ? OkStatus()
                   : At(node,
                        "'api.http.enabled: false' is unsupported: HTTP is the only API of this version");
       }},
      {"api.http.hosts", List(&c->hosts)},
      {"api.http.port", Number(0, 65535, &c->port)},
      {"api.http.unix_socket", Text(&c->unix_socket)},
      {"api.http.cors_origin", Text(&c->cors_origin)},
      {"api.http.io_threads", Number(0, 256, &c->io_threads)},
      {"api.grpc.enabled", Unsupported("this version has no gRPC API")},
      {"api.ipc.enabled", Unsupported("this version has no IPC API; use api.http.unix_socket")},
      {"core.home", Text(&c->home)},
      {"core.plugin_dirs", List(&c->plugin_dirs)},
      {"core.threads", Number(0, 1024, &c->threads)},
      {"core.max_queue", Number(1, 1'000'000, &c->max_queue)},
      {"core.scheduler",
       [c](const YAML::Node& node, const std::string& key) -> Status {
         std::string name;
         MLOS_RETURN_IF_ERROR(Read(node, key, "deadline or fifo", &name));
         if (name != "deadline" && name != "fifo")
           return At(node, "'core.scheduler' is '" + name + "', wanted deadline or fifo");
         c->fifo = name == "fifo";
         return OkStatus();
       }},
      {"core.max_batch", Number(1, 4096, &c->max_batch)},
      {"core.express_slots", Number(0, 64, &c->express_slots)},
      {"core.plan_threads", Bool(&c->plan_threads)},
      {"core.execution_threads", Number(0, 1024, &c->execution_threads)},
      {"core.max_sequences", Number(0, 256, &c->max_sequences)},
      {"core.traces", Number(0, 1'000'000, &c->traces)},
      {"core.scan_at_start", Bool(&c->scan_at_start)},
      {"core.memory_budget", Text(&c->memory_budget)},
      {"core.keep_alive", KeepAlive(&c->keep_alive_ns)},
      {"core.load_timeout_ms", Number(1, std::numeric_limits<int32_t>::max(), &c->load_timeout)},
      {"core.preload", List(&c->preload)},
      {"core.isolation", Text(&c->isolation)},
      {"workers.boost", Text(&c->boost)},
      {"workers.program", Text(&c->worker_program)},
      {"workers.sandbox", OneOf({"on", "off", "require"}, &c->worker_sandbox)},
      {"workers.control_groups", Bool(&c->worker_groups)},
      {"workers.private_mb", Number(0, 1 << 30, &c->worker_private_mb)},
      {"workers.read_paths", List(&c->worker_read_paths)},
      {"workers.device_paths", List(&c->worker_device_paths)},
      {"workers.arena_mb", Number(1, 1 << 20, &c->worker_arena_mb)},
      {"workers.hang_timeout_ms", Number(100, 3'600'000, &c->worker_hang_timeout)},
      {"workers.stuck_timeout_ms", Number(100, 3'600'000, &c->worker_stuck_timeout)},
      {"limits.max_body_mb", Number(1, 1 << 20, &c->max_body_mb)},
      {"limits.request_timeout_ms", Number(0, std::numeric_limits<int32_t>::max(), &c->request_timeout)},
      {"limits.drain_timeout_ms", Number(0, std::numeric_limits<int32_t>::max(), &c->drain_timeout)},
      {"logging.level", Text(&c->log_level)},
      {"logging.file", Text(&c->log_file)},
      {"weight_cache.enabled", Bool(&c->weight_cache)},
      {"weight_cache.dir", Text(&c->weight_cache_dir)},
      {"weight_cache.limit_mb", Number(0, 1 << 30, &c->weight_cache_limit_mb)},
      {"security.auth_enabled", Unsupported("this version has no authentication; listen on loopback only")},
  };
}

std::string Children(const std::map<std::string, Setter>& keys, const std::string& prefix) {
  std::string out;
  std::string last;
  for (const auto& [key, setter] : keys) {
    if (key.rfind(prefix, 0) != 0) continue;
    const std::string child = key.substr(prefix.size(), key.find('.', prefix.size()) - prefix.size());
    if (child != last) out += (out.empty() ? "" : ", ") + child;
    last = child;
  }
  return out;
}

Status Walk(const YAML::Node& node, const std::string& prefix, const std::map<std::string, Setter>& keys) {
  for (const auto& item : node) {
    const std::string name = item.first.IsScalar() ? item.first.Scalar() : "";
    const std::string key = prefix + name;
    if (const auto it = keys.find(key); it != keys.end()) {
      MLOS_RETURN_IF_ERROR(it->second(item.second, key));
      continue;
    }
    const std::string children = Children(keys, key + ".");
    if (children.empty())
      return At(item.first, "unknown key '" + key + "'; known here: " + Children(keys, prefix));
    if (!item.second.IsMap()) return At(item.second, "'" + key + "' wants keys: " + children);
    MLOS_RETURN_IF_ERROR(Walk(item.second, key + ".", keys));
  }
  return OkStatus();
}

}  // namespace

Status ApplyYaml(std::string_view yaml, Config* config) {
  if (yaml.size() > kMaxConfigBytes) return TooLarge("config file is over 1 MiB");
  YAML::Node root;
  try {
    root = YAML::Load(std::string(yaml));
  } catch (const YAML::Exception& e) {
    return InvalidArgument("config line " + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  if (root.IsNull()) return OkStatus();
  if (!root.IsMap()) return At(root, "wanted keys: " + Children(Keys(config), ""));
  return Walk(root, "", Keys(config));
}

}  // namespace mlos::daemon
