// SPDX-License-Identifier: Apache-2.0
#include "testing/harness.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace mlos::llama {
namespace {

smi_str Str(const std::string& text) { return {text.data(), text.size()}; }

std::mutex g_log_mutex;
std::vector<std::pair<int32_t, std::string>> g_log;

void KeepLog(void*, int32_t level, smi_str message) {
  std::lock_guard lock(g_log_mutex);
  g_log.emplace_back(level, std::string(message.data, message.size));
}

smi_error NewError() {
  smi_error error{};
  error.struct_size = sizeof error;
  return error;
}

// smi_load_params over strings that must outlive it.
struct Params {
  Params(const std::string& file, const LoadAsk& asked) : path(file), ask(asked) {
    folder = std::filesystem::path(file).parent_path();
    for (const auto& [name, value] : ask.options) options.push_back({Str(name), Str(value)});
    raw.struct_size = sizeof raw;
    raw.n_threads = ask.n_threads;
    raw.package_dir = Str(folder);
    raw.path = Str(path);
    raw.format = Str(ask.format);
    raw.context_length = ask.context_length;
    raw.max_sequences = ask.max_sequences;
    raw.options = options.data();
    raw.n_options = static_cast<uint32_t>(options.size());
  }
  std::string path;
  std::string folder;
  LoadAsk ask;
  std::vector<smi_option> options;
  smi_load_params raw{};
};

struct Collected {
  std::mutex mutex;
  std::condition_variable ended_cv;
  bool ended = false;
  Vectors vectors;

  static smi_code Output(void* self, const smi_tensor* tensor, uint32_t) {
    Vectors& vectors = static_cast<Collected*>(self)->vectors;
    vectors.shape.assign(tensor->shape, tensor->shape + tensor->rank);
    vectors.data.resize(tensor->size_bytes / sizeof(float));
    if (tensor->size_bytes > 0) std::memcpy(vectors.data.data(), tensor->data, tensor->size_bytes);
    return SMI_OK;
  }
  static void Done(void* self, smi_code code, const smi_error* error, const smi_timing*) {
    auto* collected = static_cast<Collected*>(self);
    std::lock_guard lock(collected->mutex);
    collected->vectors.code = code;
    if (error != nullptr) collected->vectors.message = error->message;
    collected->ended = true;
    collected->ended_cv.notify_all();
  }
};

}  // namespace

std::string FixturePath(const std::string& name) {
  return std::string(MLOS_SOURCE_DIR) + "/tests/models/" + name;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TempFile::TempFile(const std::string& bytes, const std::string& suffix) {
  path_ = (std::filesystem::temp_directory_path() / "mlos-llama-XXXXXX").string() + suffix;
  const int fd = mkstemps(path_.data(), static_cast<int>(suffix.size()));
  std::FILE* file = fd < 0 ? nullptr : fdopen(fd, "wb");
  if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
      std::fclose(file) != 0) {
    throw std::runtime_error("cannot write " + path_);
  }
}

TempFile::~TempFile() { std::filesystem::remove(path_); }

OpenPlugin& Plugin() {
  static OpenPlugin opened = [] {
    static smi_host_api host{sizeof(smi_host_api), SMI_VERSION, nullptr, &KeepLog};
    smi_error error = NewError();
    OpenPlugin made{smi_plugin_entry(SMI_VERSION, &error), nullptr};
    if (made.api == nullptr || made.api->open(&host, nullptr, 0, &made.plugin, &error) != SMI_OK) {
      throw std::runtime_error(error.message);
    }
    return made;
  }();
  return opened;
}

std::vector<std::string> TakeLog(int32_t level) {
  std::lock_guard lock(g_log_mutex);
  std::vector<std::string> taken;
  for (auto& [of, message] : g_log) {
    if (of >= level) taken.push_back(std::move(message));
  }
  g_log.clear();
  return taken;
}

void Answer::Wait() {
  std::unique_lock lock(mutex_);
  ended_cv_.wait(lock, [this] { return ended_; });
}

void Answer::Cancel(const smi_plugin_api* api, smi_model* model) {
  std::lock_guard lock(mutex_);
  if (!ended_) api->cancel(model, call_);
}

smi_code Answer::OnText(void* self, smi_str piece, uint32_t n_tokens) {
  auto* answer = static_cast<Answer*>(self);
  answer->pieces.emplace_back(piece.data, piece.size);
  answer->text += answer->pieces.back();
  answer->told_tokens += n_tokens;
  return answer->on_text_ ? answer->on_text_(static_cast<int>(answer->pieces.size())) : SMI_OK;
}

void Answer::OnDone(void* self, smi_code code, const smi_error* error, const smi_generate_result* result) {
  auto* answer = static_cast<Answer*>(self);
  std::lock_guard lock(answer->mutex_);
  answer->code = code;
  if (error != nullptr) answer->message = error->message;
  if (result != nullptr) answer->result = *result;
  answer->ended_ = true;
  answer->ended_cv_.notify_all();
}

TestModel::TestModel(const std::string& path, const LoadAsk& ask) {
  const Params params(path, ask);
  smi_error error = NewError();
  code_ = Plugin().api->load(Plugin().plugin, &params.raw, &model_, &error);
  message_ = error.message;
}

TestModel::~TestModel() {
  if (model_ == nullptr) return;
  smi_error error = NewError();
  if (Plugin().api->unload(model_, &error) != SMI_OK) {
    std::fprintf(stderr, "unload: %s\n", error.message);
    std::abort();
  }
}

const smi_model_info& TestModel::info() const { return *Plugin().api->describe_model(model_); }

smi_model_stats TestModel::stats() const {
  smi_model_stats stats{};
  stats.struct_size = sizeof stats;
  Plugin().api->model_stats(model_, &stats, nullptr);
  return stats;
}

std::unique_ptr<Answer> TestModel::Start(const Ask& ask) {
  auto answer = std::make_unique<Answer>();
  answer->on_text_ = ask.on_text;
  std::vector<smi_message> messages;
  std::vector<smi_str> stop;
  for (const auto& [role, content] : ask.messages) messages.push_back({Str(role), Str(content)});
  for (const std::string& text : ask.stop) stop.push_back(Str(text));
  smi_generate_params params{};
  params.struct_size = sizeof params;
  params.n_messages = static_cast<uint32_t>(messages.size());
  params.prompt = Str(ask.prompt);
  params.messages = messages.data();
  params.stop = stop.data();
  params.n_stop = static_cast<uint32_t>(stop.size());
  params.max_tokens = ask.max_tokens;
  params.temperature = ask.temperature;
  params.top_p = ask.top_p;
  params.min_p = ask.min_p;
  params.repeat_penalty = ask.repeat_penalty;
  params.top_k = ask.top_k;
  params.seed = ask.seed;
  params.deadline_ns = ask.deadline_ns;
  const smi_text_sink sink{sizeof sink, 0, answer.get(), &Answer::OnText, &Answer::OnDone};
  smi_error error = NewError();
  answer->accepted = Plugin().api->generate(model_, &params, &sink, &answer->call_, &error);
  if (answer->accepted != SMI_OK) {
    answer->code = answer->accepted;
    answer->message = error.message;
    answer->ended_ = true;
  }
  return answer;
}

std::unique_ptr<Answer> TestModel::Generate(const Ask& ask) {
  std::unique_ptr<Answer> answer = Start(ask);
  answer->Wait();
  return answer;
}

Vectors TestModel::ExecuteRaw(const smi_tensor& input, int64_t deadline_ns) {
  Collected collected;
  smi_execute_params params{};
  params.struct_size = sizeof params;
  params.n_inputs = 1;
  params.inputs = &input;
  params.deadline_ns = deadline_ns;
  const smi_output_sink sink{sizeof sink, 0, &collected, &Collected::Output, &Collected::Done, nullptr};
  smi_error error = NewError();
  const smi_code code = Plugin().api->execute(model_, &params, &sink, nullptr, &error);
  if (code != SMI_OK) return {code, error.message, {}, {}};
  std::unique_lock lock(collected.mutex);
  collected.ended_cv.wait(lock, [&] { return collected.ended; });
  return collected.vectors;
}

Vectors TestModel::Embed(const std::vector<std::string>& texts) {
  std::string packed = PackBytes(texts);
  const int64_t shape[] = {static_cast<int64_t>(texts.size())};
  const smi_tensor input{sizeof input,    SMI_BYTES, {"text", 4}, shape,         1,
                         SMI_MEMORY_HOST, 0,         0,           packed.data(), packed.size()};
  return ExecuteRaw(input);
}

std::vector<int32_t> TestModel::Tokenize(const std::string& text) {
  std::vector<int32_t> ids(text.size() + 16);
  uint64_t n = 0;
  if (Plugin().api->tokenize(model_, Str(text), ids.data(), ids.size(), &n, nullptr) != SMI_OK) return {};
  ids.resize(n);
  return ids;
}

smi_code EstimateOf(const std::string& path, const LoadAsk& ask, smi_estimate* estimate,
                    std::string* message) {
  const Params params(path, ask);
  smi_error error = NewError();
  estimate->struct_size = sizeof *estimate;
  const smi_code code = Plugin().api->estimate(Plugin().plugin, &params.raw, estimate, &error);
  *message = error.message;
  return code;
}

std::string PackBytes(const std::vector<std::string>& elements) {
  std::string packed;
  for (const std::string& element : elements) {
    const auto size = static_cast<uint32_t>(element.size());
    packed.append(reinterpret_cast<const char*>(&size), sizeof size);
    packed += element;
  }
  return packed;
}

}  // namespace mlos::llama
