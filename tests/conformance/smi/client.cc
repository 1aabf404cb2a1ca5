// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "smi/plugin_util.h"

namespace smi_test {
namespace {

std::string_view View(smi_str text) { return {text.data == nullptr ? "" : text.data, text.size}; }

std::vector<smi_option> BorrowOptions(const Options& options) {
  std::vector<smi_option> out;
  for (const auto& [name, value] : options) out.push_back({Borrow(name), Borrow(value)});
  return out;
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t size = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    if (size == 0 || i + size > text.size()) return false;
    for (size_t k = 1; k < size; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += size;
  }
  return true;
}

}  // namespace

smi_str Borrow(std::string_view text) { return {text.data(), text.size()}; }

smi_tensor Borrow(const Tensor& tensor) {
  smi_tensor out{};
  out.struct_size = sizeof out;
  out.dtype = tensor.dtype;
  out.name = Borrow(std::string_view(tensor.name));
  out.shape = tensor.shape.data();
  out.rank = static_cast<uint32_t>(tensor.shape.size());
  out.data = const_cast<char*>(tensor.bytes.data());
  out.size_bytes = tensor.bytes.size();
  return out;
}

Tensor Tensor::Strings(std::string name, std::vector<int64_t> shape,
                       const std::vector<std::string>& strings) {
  Tensor out{std::move(name), SMI_BYTES, std::move(shape), ""};
  for (const std::string& s : strings) {
    const auto length = static_cast<uint32_t>(s.size());
    out.bytes.append(reinterpret_cast<const char*>(&length), sizeof length).append(s);
  }
  return out;
}

std::vector<std::string> Tensor::AsStrings() const {
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t length = 0;
    bytes.copy(reinterpret_cast<char*>(&length), sizeof length, at);
    out.push_back(bytes.substr(at + sizeof length, length));
    at += sizeof length + length;
  }
  return out;
}

smi_error NoError() {
  smi_error out{};
  out.struct_size = sizeof out;
  return out;
}

std::string Message(const smi_error& error) {
  const size_t length = strnlen(error.message, sizeof error.message);
  EXPECT_LT(length, sizeof error.message) << "an error message does not end";
  std::string out(error.message, length);
  EXPECT_TRUE(IsUtf8(out)) << "an error message is not UTF-8";
  return out;
}

const Tensor* Outcome::Find(std::string_view name) const {
  const auto it =
      std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.name == name; });
  return it == outputs.end() ? nullptr : &*it;
}

smi_output_sink Recorder::output_sink() {
  return {sizeof(smi_output_sink), 0, this, &OnOutput, &OnOutputDone, offer_memory ? &OnReserve : nullptr};
}

smi_text_sink Recorder::text_sink() { return {sizeof(smi_text_sink), 0, this, &OnText, &OnTextDone}; }

smi_code Recorder::Piece() { return on_piece ? on_piece() : SMI_OK; }

smi_code Recorder::OnOutput(void* ctx, const smi_tensor* tensor, uint32_t part) {
  auto& self = *static_cast<Recorder*>(ctx);
  {
    const std::lock_guard lock(self.mu_);
    EXPECT_FALSE(self.done_) << "output() after done()";
    EXPECT_EQ(++self.inside_, 1) << "calls of one sink overlap";
    EXPECT_EQ(part, 0U) << "outputs in parts are not tested here";
    const char* problem = smi_tensor_problem(tensor);
    EXPECT_EQ(problem, nullptr) << problem;
    if (problem == nullptr) {
      Tensor copy{
          std::string(View(tensor->name)), tensor->dtype, {tensor->shape, tensor->shape + tensor->rank}, ""};
      if (tensor->size_bytes > 0)
        copy.bytes.assign(static_cast<const char*>(tensor->data), tensor->size_bytes);
      EXPECT_EQ(self.outcome_.Find(copy.name), nullptr) << "output '" << copy.name << "' came twice";
      for (const Reserved& reserved : self.reserved_) {
        if (reserved.name == copy.name && reserved.aligned == tensor->data) ++self.outcome_.reserved_used;
      }
      self.outcome_.outputs.push_back(std::move(copy));
    }
  }
  const smi_code code = self.Piece();
  const std::lock_guard lock(self.mu_);
  --self.inside_;
  return code;
}

void* Recorder::OnReserve(void* ctx, smi_str name, uint64_t size_bytes) {
  auto& self = *static_cast<Recorder*>(ctx);
  const std::lock_guard lock(self.mu_);
  EXPECT_FALSE(self.done_) << "reserve() after done()";
  for (const Reserved& reserved : self.reserved_) {
    EXPECT_NE(reserved.name, View(name)) << "two reservations for one output";
  }
  constexpr size_t kAlignment = 64;
  std::vector<std::byte> memory(size_bytes + kAlignment);
  void* aligned = memory.data();
  size_t room = memory.size();
  std::align(kAlignment, size_bytes, aligned, room);
  self.reserved_.push_back({std::string(View(name)), std::move(memory), aligned});
  return aligned;
}

smi_code Recorder::OnText(void* ctx, smi_str piece, uint32_t /*n_tokens*/) {
  auto& self = *static_cast<Recorder*>(ctx);
  {
    const std::lock_guard lock(self.mu_);
    EXPECT_FALSE(self.done_) << "text() after done()";
    EXPECT_EQ(++self.inside_, 1) << "calls of one sink overlap";
    EXPECT_TRUE(IsUtf8(View(piece))) << "a piece of text is not whole UTF-8 characters";
    self.outcome_.text += View(piece);
    self.outcome_.pieces.emplace_back(View(piece));
  }
  const smi_code code = self.Piece();
  const std::lock_guard lock(self.mu_);
  --self.inside_;
  return code;
}

void Recorder::Done(smi_code code, const smi_error* error) {
  EXPECT_FALSE(done_) << "done() twice";
  EXPECT_EQ(inside_, 0) << "done() while another call of the sink runs";
  done_ = true;
  outcome_.code = code;
  if (code == SMI_OK) {
    EXPECT_EQ(error, nullptr) << "done() with SMI_OK and an error";
  } else {
    EXPECT_NE(error, nullptr) << "done() with code " << code << " and no error";
    if (error != nullptr) outcome_.message = Message(*error);
    EXPECT_NE(outcome_.message, "") << "done() with code " << code << " and no message";
  }
  changed_.notify_all();
}

void Recorder::OnOutputDone(void* ctx, smi_code code, const smi_error* error, const smi_timing* timing) {
  auto& self = *static_cast<Recorder*>(ctx);
  const std::lock_guard lock(self.mu_);
  if (timing != nullptr) {
    EXPECT_TRUE(SMI_HAS(timing, smi_timing, finish_ns));
    self.outcome_.timing = *timing;
  }
  self.Done(code, error);
}

void Recorder::OnTextDone(void* ctx, smi_code code, const smi_error* error,
                          const smi_generate_result* result) {
  auto& self = *static_cast<Recorder*>(ctx);
  const std::lock_guard lock(self.mu_);
  EXPECT_TRUE(code != SMI_OK || result != nullptr) << "done() with SMI_OK and no result";
  if (result != nullptr) {
    EXPECT_TRUE(SMI_HAS(result, smi_generate_result, eval_ns));
    self.outcome_.result = *result;
  }
  self.Done(code, error);
}

bool Recorder::done() {
  const std::lock_guard lock(mu_);
  return done_;
}

bool Recorder::Cancel(const smi_plugin_api& api, smi_model* model) {
  const std::lock_guard lock(mu_);
  smi_call* const handle = __atomic_load_n(&call, __ATOMIC_ACQUIRE);
  if (done_ || handle == nullptr) return false;
  api.cancel(model, handle);
  return true;
}

Outcome Recorder::Wait(smi_code accepted, const smi_error& error) {
  std::unique_lock lock(mu_);
  if (accepted != SMI_OK) {
    EXPECT_FALSE(done_) << "a refused call has called its sink";
    outcome_.refused = true;
    outcome_.code = accepted;
    outcome_.message = Message(error);
    EXPECT_NE(outcome_.message, "") << "refused with code " << accepted << " and no message";
    EXPECT_EQ(error.code, accepted) << "the error's code is not the one returned";
    return outcome_;
  }
  changed_.wait(lock, [&] { return done_; });
  return outcome_;
}

Model::~Model() {
  if (model_ == nullptr) return;
  smi_error error = NoError();
  EXPECT_EQ(api_->unload(model_, &error), SMI_OK) << error.message;
}

const smi_model_info& Model::info() const { return *api_->describe_model(model_); }
const smi_tensor_spec& Model::input(uint32_t i) const { return *SMI_AT(info().inputs, smi_tensor_spec, i); }
const smi_tensor_spec& Model::output(uint32_t i) const { return *SMI_AT(info().outputs, smi_tensor_spec, i); }

smi_model_stats Model::stats() const {
  smi_model_stats out{};
  out.struct_size = sizeof out;
  smi_error error = NoError();
  EXPECT_EQ(api_->model_stats(model_, &out, &error), SMI_OK) << error.message;
  EXPECT_EQ(out.struct_size, sizeof out);
  return out;
}

Outcome Model::Execute(const std::vector<Tensor>& inputs, const AdjustExecute& adjust,
                       Recorder* recorder) const {
  Recorder own;
  if (recorder == nullptr) recorder = &own;
  std::vector<smi_tensor> borrowed;
  for (const Tensor& tensor : inputs) borrowed.push_back(Borrow(tensor));
  smi_execute_params params{};
  params.struct_size = sizeof params;
  params.inputs = borrowed.data();
  params.n_inputs = static_cast<uint32_t>(borrowed.size());
  if (adjust) adjust(&params);
  const smi_output_sink sink = recorder->output_sink();
  smi_error error = NoError();
  const smi_code accepted = api_->execute(model_, &params, &sink, &recorder->call, &error);
  return recorder->Wait(accepted, error);
}

smi_generate_params Greedy(std::string_view prompt) {
  smi_generate_params out{};
  out.struct_size = sizeof out;
  out.prompt = Borrow(prompt);
  out.max_tokens = 8;
  out.top_p = 1;
  out.repeat_penalty = 1;
  out.seed = 1;
  return out;
}

Outcome Model::Generate(std::string_view prompt, const AdjustGenerate& adjust, Recorder* recorder) const {
  Recorder own;
  if (recorder == nullptr) recorder = &own;
  smi_generate_params params = Greedy(prompt);
  if (adjust) adjust(&params);
  const smi_text_sink sink = recorder->text_sink();
  smi_error error = NoError();
  const smi_code accepted = api_->generate(model_, &params, &sink, &recorder->call, &error);
  return recorder->Wait(accepted, error);
}

smi_plugin_entry_fn Plugin::Entry(const std::filesystem::path& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  EXPECT_NE(handle, nullptr) << dlerror();
  void* symbol = handle == nullptr ? nullptr : dlsym(handle, SMI_PLUGIN_ENTRY);
  EXPECT_NE(symbol, nullptr) << library << " does not export " << SMI_PLUGIN_ENTRY;
  return reinterpret_cast<smi_plugin_entry_fn>(symbol);
}

Plugin::Plugin(const std::filesystem::path& library, const Options& options) {
  host_ = {sizeof host_, SMI_VERSION, this, &OnLog};
  smi_error error = NoError();
  api_ = Entry(library)(SMI_VERSION, &error);
  EXPECT_NE(api_, nullptr) << error.message;
  const std::vector<smi_option> borrowed = BorrowOptions(options);
  const auto n_options = static_cast<uint32_t>(borrowed.size());
  EXPECT_EQ(api_->open(&host_, borrowed.data(), n_options, &plugin_, &error), SMI_OK) << error.message;
}

Plugin::~Plugin() {
  smi_error error = NoError();
  EXPECT_EQ(api_->close(plugin_, &error), SMI_OK) << error.message;
}

void Plugin::OnLog(void* host, int32_t level, smi_str message) {
  auto& self = *static_cast<Plugin*>(host);
  EXPECT_TRUE(level >= 0 && level <= 3) << level;
  const std::lock_guard lock(self.mu_);
  self.log_.append(View(message)).append("\n");
}

std::string Plugin::log() {
  const std::lock_guard lock(mu_);
  return log_;
}

smi_load_params Plugin::LoadParams(const std::string& path, const std::vector<smi_option>& options) {
  smi_load_params out{};
  out.struct_size = sizeof out;
  out.path = Borrow(std::string_view(path));
  out.package_dir = Borrow(std::string_view(path).substr(0, path.rfind('/')));
  out.options = options.data();
  out.n_options = static_cast<uint32_t>(options.size());
  return out;
}

smi_code Plugin::TryLoad(const std::filesystem::path& path, const Options& options,
                         std::optional<Model>* model, std::string* message) const {
  const std::string text = path.string();
  const std::vector<smi_option> borrowed = BorrowOptions(options);
  smi_load_params params = LoadParams(text, borrowed);
  params.format = info().formats[0];
  smi_error error = NoError();
  smi_model* loaded = nullptr;
  const smi_code code = api_->load(plugin_, &params, &loaded, &error);
  *message = Message(error);
  if (code == SMI_OK) {
    EXPECT_NE(loaded, nullptr);
    model->emplace(api_, loaded);
  } else {
    EXPECT_EQ(error.code, code);
    EXPECT_NE(*message, "");
  }
  return code;
}

Model Plugin::Load(const std::filesystem::path& path, const Options& options) const {
  std::optional<Model> model;
  std::string message;
  EXPECT_EQ(TryLoad(path, options, &model, &message), SMI_OK) << message;
  return std::move(model).value();
}

smi_code Plugin::Estimate(const std::filesystem::path& path, smi_estimate* out, std::string* message) const {
  const std::string text = path.string();
  smi_load_params params = LoadParams(text, {});
  params.format = info().formats[0];
  *out = {};
  out->struct_size = sizeof *out;
  smi_error error = NoError();
  const smi_code code = api_->estimate(plugin_, &params, out, &error);
  *message = Message(error);
  return code;
}

}  // namespace smi_test
