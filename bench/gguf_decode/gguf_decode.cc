// SPDX-License-Identifier: Apache-2.0
// Generates text through the SMI table of a plugin and prints how fast: one line of JSON a repetition.
//   bench_gguf_decode PLUGIN.so MODEL.gguf THREADS TOKENS REPETITIONS CALLS [greedy|sampled] [option=value ...]
// CALLS calls run side by side. "decode_per_s" counts the tokens after each call's first, over the time from the first to the
// last of them: what llama-bench calls tg.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "smi/smi.h"

namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "bench_gguf_decode: %s\n", what.c_str());
  std::exit(1);
}

smi_str Str(const std::string& text) { return {text.data(), text.size()}; }

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Call {
  std::mutex mutex;
  std::condition_variable ended_cv;
  bool ended = false;
  smi_code code = SMI_OK;
  std::string message;
  smi_generate_result result{};

  static smi_code OnText(void*, smi_str, uint32_t) { return SMI_OK; }
  static void OnDone(void* self, smi_code code, const smi_error* error, const smi_generate_result* result) {
    auto* call = static_cast<Call*>(self);
    std::lock_guard lock(call->mutex);
    call->code = code;
    if (error != nullptr) call->message = error->message;
    if (result != nullptr) call->result = *result;
    call->ended = true;
    call->ended_cv.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex);
    ended_cv.wait(lock, [this] { return ended; });
    if (code != SMI_OK) Die(message);
  }
};

struct Bench {
  const smi_plugin_api* api = nullptr;
  smi_plugin* plugin = nullptr;
  smi_model* model = nullptr;
  bool sampled = false;

  void Start(Call* call, uint32_t tokens, uint64_t seed) const {
    smi_generate_params params{};
    params.struct_size = sizeof params;
    params.max_tokens = tokens;
    params.temperature = sampled ? 0.8F : 0.0F;
    params.top_p = sampled ? 0.95F : 1.0F;
    params.min_p = sampled ? 0.05F : 0.0F;
    params.top_k = sampled ? 40 : 0;
    params.repeat_penalty = 1;
    params.seed = seed;
    const std::string prompt = "count to 30:";
    params.prompt = Str(prompt);
    const smi_text_sink sink{sizeof sink, 0, call, &Call::OnText, &Call::OnDone};
    smi_error error{};
    error.struct_size = sizeof error;
    if (api->generate(model, &params, &sink, nullptr, &error) != SMI_OK) Die(error.message);
  }
};

uint64_t AnonymousMib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word) {
    if (word == "RssAnon:") status >> kib;
  }
  return kib >> 10;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7)
    Die("usage: bench_gguf_decode PLUGIN MODEL THREADS TOKENS REPETITIONS CALLS [greedy|sampled] "
        "[option=value ...]");
  const std::string model = argv[2];
  const auto tokens = static_cast<uint32_t>(std::atoi(argv[4]));
  const size_t calls = static_cast<size_t>(std::max(1, std::atoi(argv[6])));
  Bench bench;
  bench.sampled = argc > 7 && std::string(argv[7]) == "sampled";
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) Die(dlerror());
  const auto entry = reinterpret_cast<smi_plugin_entry_fn>(dlsym(library, SMI_PLUGIN_ENTRY));
  smi_error error{};
  error.struct_size = sizeof error;
  const smi_host_api host{sizeof host, SMI_VERSION, nullptr, nullptr};
  bench.api = entry == nullptr ? nullptr : entry(SMI_VERSION, &error);
  if (bench.api == nullptr || bench.api->open(&host, nullptr, 0, &bench.plugin, &error) != SMI_OK)
    Die(error.message);

  std::vector<std::string> words;
  for (int i = 8; i < argc; ++i) {
    const std::string option = argv[i];
    words.push_back(option.substr(0, option.find('=')));
    words.push_back(option.substr(option.find('=') + 1));
  }
  std::vector<smi_option> options;
  for (size_t i = 0; i < words.size(); i += 2) options.push_back({Str(words[i]), Str(words[i + 1])});
  const std::string format = "gguf";
  smi_load_params params{};
  params.struct_size = sizeof params;
  params.n_threads = static_cast<uint32_t>(std::atoi(argv[3]));
  params.path = Str(model);
  params.format = Str(format);
  params.max_sequences = static_cast<uint32_t>(calls);
  params.context_length = tokens + 64;
  params.options = options.data();
  params.n_options = static_cast<uint32_t>(options.size());
  smi_estimate estimate{};
  estimate.struct_size = sizeof estimate;
  if (bench.api->estimate(bench.plugin, &params, &estimate, &error) != SMI_OK) Die(error.message);
  const double before_load = Now();
  if (bench.api->load(bench.plugin, &params, &bench.model, &error) != SMI_OK) Die(error.message);
  const double load_s = Now() - before_load;

  for (int repetition = -1; repetition < std::atoi(argv[5]); ++repetition) {
    const bool warm_up = repetition < 0;
    std::vector<Call> running(calls);
    const double start = Now();
    for (Call& call : running)
      bench.Start(&call, warm_up ? 4 : tokens, 1 + static_cast<uint64_t>(&call - running.data()));
    uint64_t made = 0;
    uint64_t eval_ns = 1;
    for (Call& call : running) {
      call.Wait();
      made += call.result.completion_tokens;
      eval_ns = std::max(eval_ns, call.result.eval_ns);
    }
    if (warm_up) continue;
    std::printf(
        "{\"decode_per_s\": %.3f, \"wall_per_s\": %.3f, \"tokens\": %lu, \"load_s\": %.3f, "
        "\"anonymous_mib\": %lu, "
        "\"estimated_mib\": %lu}\n",
        static_cast<double>(made - calls) * 1e9 / static_cast<double>(eval_ns),
        static_cast<double>(made) / (Now() - start), made, load_s, AnonymousMib(),
        estimate.private_bytes >> 20);
    std::fflush(stdout);
  }
  if (bench.api->unload(bench.model, &error) != SMI_OK) Die(error.message);
  bench.api->close(bench.plugin, &error);
  return 0;
}
