// SPDX-License-Identifier: Apache-2.0
#include "client/core_client.h"

#include <curl/curl.h>
#include <simdjson.h>

#include <array>
#include <memory>
#include <optional>

#include "base/json_writer.h"
#include "base/version.h"
#include "client/sse.h"

namespace mlos::client {
namespace {

namespace dom = simdjson::dom;

constexpr uint64_t kMaxAnswerBytes = 1U << 30U;

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Sink {
  CURL* curl;
  const std::function<Status(int, std::string_view)>* on_body;  // null: into `body`
  std::string* body;
  const std::atomic<bool>* interrupted;
  Status status;
};

size_t OnData(char* data, size_t size, size_t count, void* user) {
  auto* sink = static_cast<Sink*>(user);
  const std::string_view bytes(data, size * count);
  long http_status = 0;
  curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &http_status);
  if (*sink->on_body && http_status / 100 == 2) {
    sink->status = (*sink->on_body)(static_cast<int>(http_status), bytes);
  } else if (sink->body->size() + bytes.size() > kMaxAnswerBytes) {
    sink->status = TooLarge("the answer of mlos-core is over 1 GiB");
  } else {
    sink->body->append(bytes);
  }
  return sink->status.ok() ? bytes.size() : CURL_WRITEFUNC_ERROR;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* interrupted = static_cast<Sink*>(user)->interrupted;
  return interrupted != nullptr && interrupted->load(std::memory_order_relaxed) ? 1 : 0;
}

std::string StringAt(dom::element object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

double DoubleAt(dom::element object, const char* key) {
  double value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

bool BoolAt(dom::element object, const char* key) {
  bool value = false;
  return object[key].get(value) == simdjson::SUCCESS && value;
}

uint64_t UintAt(dom::element object, const char* key) {
  uint64_t value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

ModelInfo ReadModel(dom::element object) {
  ModelInfo model;
  model.id = StringAt(object, "id");
  if (model.id.empty()) model.id = StringAt(object, "model_id");
  model.status = StringAt(object, "state");
  if (model.status.empty()) model.status = StringAt(object, "status");
  model.plugin_id = StringAt(object, "plugin_id");
  model.framework = StringAt(object, "framework");
  model.execution_format = StringAt(object, "execution_format");
  model.path = StringAt(object, "path");
  model.version = StringAt(object, "version");
  model.error = StringAt(object, "error");
  model.load_ms = DoubleAt(object, "load_ms");
  if (dom::element statistics;
      object["statistics"].get(statistics) == simdjson::SUCCESS && statistics.is_object()) {
    model.load_ms = DoubleAt(statistics, "load_ms");
  }
  model.generates = BoolAt(object, "generates");
  model.accepts_text = BoolAt(object, "accepts_text");
  model.has_chat_template = BoolAt(object, "has_chat_template");
  return model;
}

void ReadWarnings(dom::element object, std::vector<std::string>* out) {
  dom::array warnings;
  if (object["warnings"].get(warnings) != simdjson::SUCCESS) return;
  for (dom::element warning : warnings) {
    if (std::string_view text; warning.get(text) == simdjson::SUCCESS) out->emplace_back(text);
  }
}

Result<dom::element> ParseObject(dom::parser* parser, const std::string& body) {
  dom::element root;
  if (parser->parse(body).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return DataLoss("the answer of mlos-core is not a JSON object");
  }
  return root;
}

Code CodeOfHttpStatus(int status) {
  switch (status) {
    case 400:
    case 405:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kFailedPrecondition;
    case 413:
      return Code::kTooLarge;
    case 422:
      return Code::kUnprocessable;
    case 429:
      return Code::kResourceExhausted;
    case 501:
      return Code::kUnimplemented;
    case 503:
      return Code::kUnavailable;
    case 504:
      return Code::kDeadlineExceeded;
    default:
      return Code::kInternal;
  }
}

std::optional<Code> CodeOfName(std::string_view name) {
  for (int i = 1; i <= static_cast<int>(Code::kInternal); ++i) {
    if (CodeName(static_cast<Code>(i)) == name) return static_cast<Code>(i);
  }
  return std::nullopt;
}

bool IsLoopback(std::string_view endpoint) {
  for (const char* host : {"://localhost", "://127.", "://[::1]"}) {
    if (endpoint.find(host) != std::string_view::npos) return true;
  }
  return false;
}

std::string WithoutLastSlash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text.find("://") == std::string::npos ? "http://" + text : text;
}

// Reads the events of a generation into one result.
class StreamReader {
 public:
  explicit StreamReader(const std::function<bool(std::string_view)>& on_text) : on_text_(on_text) {}

  bool OnEvent(const std::string& data) {
    if (data == "[DONE]") return true;
    dom::element event;
    if (parser_.parse(data).get(event) != simdjson::SUCCESS || !event.is_object()) {
      status_ = DataLoss("mlos-core streamed something that is not a JSON object");
      return false;
    }
    if (dom::element error; event["error"].get(error) == simdjson::SUCCESS) {
      status_ =
          Status(CodeOfName(StringAt(error, "code")).value_or(Code::kInternal), StringAt(error, "message"));
      return false;
    }
    bool done = false;
    if (event["done"].get(done) == simdjson::SUCCESS && done) {
      Finish(event);
      return true;
    }
    return on_text_(StringAt(event, "text"));
  }

  const Status& status() const { return status_; }
  bool done() const { return done_; }
  Generated& result() { return result_; }

 private:
  void Finish(dom::element event) {
    done_ = true;
    result_.text = StringAt(event, "text");
    result_.finish_reason = StringAt(event, "finish_reason");
    result_.prompt_tokens = UintAt(event, "prompt_tokens");
    result_.completion_tokens = UintAt(event, "tokens_generated");
    result_.prompt_ms = DoubleAt(event, "prompt_ms");
    result_.eval_ms = DoubleAt(event, "eval_ms");
    ReadWarnings(event, &result_.warnings);
  }

  const std::function<bool(std::string_view)>& on_text_;
  dom::parser parser_;
  Generated result_;
  Status status_;
  bool done_ = false;
};

}  // namespace

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

std::string ModelPath(const std::string& model_id) { return "/models/" + PercentEncode(model_id); }

Status ErrorOfAnswer(int http_status, std::string_view body) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS && root.is_object()) {
    std::string message = StringAt(root, "message");
    if (message.empty()) message = StringAt(root, "error");
    const Code code = CodeOfName(StringAt(root, "code")).value_or(CodeOfHttpStatus(http_status));
    if (!message.empty()) return Status(code, std::move(message));
  }
  return Status(CodeOfHttpStatus(http_status), "the server answered HTTP " + std::to_string(http_status));
}

CoreClient::CoreClient(ClientOptions options)
    : options_{WithoutLastSlash(std::move(options.endpoint)), options.interrupted,
               options.connect_timeout_s} {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialised;
}

Result<CoreClient::Answer> CoreClient::Call(const char* method, const std::string& path,
                                            const std::string& body, const OnBody& on_body) const {
  const std::unique_ptr<CURL, CurlDeleter> curl(curl_easy_init());
  if (curl == nullptr) return Internal("libcurl cannot be loaded or gives no handle");
  // "Expect:" off: the answer to it would cost a round trip.
  std::unique_ptr<curl_slist, CurlDeleter> headers(curl_slist_append(nullptr, "Expect:"));
  if (!body.empty()) headers.reset(curl_slist_append(headers.release(), "Content-Type: application/json"));
  Answer answer;
  Sink sink{curl.get(), &on_body, &answer.body, options_.interrupted, OkStatus()};
  char error[CURL_ERROR_SIZE] = "";
  const std::string user_agent = std::string("mlos-client/") + kVersion;
  curl_easy_setopt(curl.get(), CURLOPT_URL, (options_.endpoint + path).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, user_agent.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_timeout_s));
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, OnData);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &sink);
  if (IsLoopback(options_.endpoint)) curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  if (!body.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (!sink.status.ok()) return sink.status;
  if (code == CURLE_ABORTED_BY_CALLBACK) return Cancelled("interrupted");
  if (code != CURLE_OK) {
    return Unavailable("mlos-core does not answer at " + options_.endpoint + " (" +
                       (error[0] != 0 ? error : curl_easy_strerror(code)) +
                       "); start it with 'axon serve', or say where it is with MLOS_CORE_ENDPOINT");
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

Result<std::string> CoreClient::Ask(const char* method, const std::string& path,
                                    const std::string& body) const {
  MLOS_ASSIGN_OR_RETURN(Answer answer, Call(method, path, body, nullptr));
  if (answer.status / 100 != 2) return ErrorOfAnswer(answer.status, answer.body);
  return std::move(answer.body);
}

Result<ModelInfo> CoreClient::Register(const RegisterModel& model) const {
  JsonWriter json;
  json.BeginObject();
  const std::array<std::pair<const char*, const std::string*>, 7> fields = {
      {{"model_id", &model.model_id},
       {"name", &model.name},
       {"framework", &model.framework},
       {"execution_format", &model.execution_format},
       {"path", &model.path},
       {"description", &model.description},
       {"manifest_path", &model.manifest_path}}};
  for (const auto& [key, value] : fields) json.Key(key).String(*value);
  if (!model.isolation.empty()) json.Key("isolation").String(model.isolation);
  if (!model.batching.empty()) json.Key("batching").String(model.batching);
  if (model.max_batch != 0) json.Key("max_batch").Uint(model.max_batch);
  json.EndObject();
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("POST", "/models/register", json.str()));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  return ReadModel(root);
}

Status CoreClient::Unregister(const std::string& model_id) const {
  return Ask("DELETE", ModelPath(model_id)).status();
}

Result<std::vector<ModelInfo>> CoreClient::List() const {
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("GET", "/models"));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  dom::array models;
  if (root["models"].get(models) != simdjson::SUCCESS)
    return DataLoss("the answer of mlos-core has no 'models'");
  std::vector<ModelInfo> out;
  for (dom::element model : models) out.push_back(ReadModel(model));
  return out;
}

Result<ModelInfo> CoreClient::Get(const std::string& model_id) const {
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("GET", ModelPath(model_id)));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  return ReadModel(root);
}

Result<std::string> CoreClient::Infer(const std::string& model_id, const std::string& body) const {
  return Ask("POST", ModelPath(model_id) + "/inference", body);
}

Result<Generated> CoreClient::Generate(const std::string& model_id, const std::string& body,
                                       const std::function<bool(std::string_view piece)>& on_text) const {
  StreamReader reader(on_text);
  SseParser parser([&](const std::string& data) { return reader.OnEvent(data); });
  const OnBody feed = [&parser](int, std::string_view bytes) { return parser.Feed(bytes); };
  const Result<Answer> answer = Call("POST", ModelPath(model_id) + "/inference", body, feed);
  MLOS_RETURN_IF_ERROR(reader.status());
  if (!answer.ok()) return answer.status();
  if (answer->status / 100 != 2) return ErrorOfAnswer(answer->status, answer->body);
  if (!reader.done()) return DataLoss("the stream of mlos-core ended before its last event");
  return std::move(reader.result());
}

Result<std::string> CoreClient::Processes() const { return Ask("GET", "/ps"); }

Result<Loaded> CoreClient::Load(const std::string& model_id, const std::string& keep_alive,
                                std::optional<bool> pin) const {
  JsonWriter json;
  json.BeginObject();
  if (!keep_alive.empty()) json.Key("keep_alive").String(keep_alive);
  if (pin) json.Key("pin").Bool(*pin);
  json.EndObject();
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("POST", ModelPath(model_id) + "/load", json.str()));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  return Loaded{.id = StringAt(root, "model_id"),
                .keep_alive = StringAt(root, "keep_alive"),
                .pinned = BoolAt(root, "pinned"),
                .load_ms = DoubleAt(root, "load_ms")};
}

Result<Unloaded> CoreClient::Unload(const std::string& model_id) const {
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("POST", ModelPath(model_id) + "/unload", "{}"));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  return Unloaded{.unloaded = BoolAt(root, "unloaded"), .users = UintAt(root, "users")};
}

Result<std::string> CoreClient::ChooseLatest(const std::string& model_id) const {
  MLOS_ASSIGN_OR_RETURN(const std::string body, Ask("POST", ModelPath(model_id) + "/latest", "{}"));
  dom::parser parser;
  MLOS_ASSIGN_OR_RETURN(const dom::element root, ParseObject(&parser, body));
  return StringAt(root, "latest");
}

Result<std::string> CoreClient::Health() const { return Ask("GET", "/health"); }
Result<std::string> CoreClient::Doctor() const { return Ask("GET", "/doctor"); }
Result<std::string> CoreClient::Plugins() const { return Ask("GET", "/plugins"); }
Result<std::string> CoreClient::Stats() const { return Ask("GET", "/stats"); }
Result<std::string> CoreClient::Request(const std::string& request_id) const {
  return Ask("GET", "/requests/" + PercentEncode(request_id));
}

}  // namespace mlos::client
