// SPDX-License-Identifier: Apache-2.0
// One process of the load benchmark. Prints a JSON line when it is done and another one for each line it reads after that.
//   bench_load convert FOLDER                      writes FOLDER/model.onnx
//   bench_load engine MODEL SESSIONS THREADS       ONNX Runtime alone
//   bench_load plugin MODEL SESSIONS THREADS LIBRARY CACHE     the plugin; CACHE may be "" for none
//   bench_load pair MODEL OTHER THREADS RUNS        both in ONNX Runtime, run in turn: {"ms":[..],"other_ms":[..],"difference":..}
// A line: {"load_ms":[...],"first_ms":[...],"run_ms":[...],"private_kb":..,"start_kb":..,"peak_kb":..,"sum":..}
#include <dlfcn.h>
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "convert/convert.h"
#include "smi/plugin_util.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRuns = 3;

double MillisSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

// Sum of the named fields of a /proc/self file, in kB.
uint64_t Kilobytes(const char* file, const std::vector<std::string>& fields) {
  std::ifstream in(file);
  uint64_t sum = 0;
  for (std::string line; std::getline(in, line);) {
    for (const std::string& field : fields) {
      if (line.starts_with(field + ":")) sum += std::strtoull(line.c_str() + field.size() + 1, nullptr, 10);
    }
  }
  return sum;
}
uint64_t PrivateKb() { return Kilobytes("/proc/self/smaps_rollup", {"Private_Clean", "Private_Dirty"}); }

// A loaded model: answers with the sum of its first output.
using Answer = std::function<double()>;

struct Report {
  std::vector<double> load_ms, first_ms, run_ms;
  uint64_t start_kb = PrivateKb();
  double sum = 0;

  void Measure(const std::function<Answer()>& load, std::vector<Answer>* loaded) {
    auto start = Clock::now();
    loaded->push_back(load());
    load_ms.push_back(MillisSince(start));
    start = Clock::now();
    sum = loaded->back()();
    first_ms.push_back(MillisSince(start));
    double best = INFINITY;
    for (int i = 0; i < kRuns; ++i) {
      start = Clock::now();
      sum = loaded->back()();
      best = std::min(best, MillisSince(start));
    }
    run_ms.push_back(best);
  }
  void Print() const {
    const auto list = [](const char* name, const std::vector<double>& values) {
      std::printf("\"%s\":[", name);
      for (size_t i = 0; i < values.size(); ++i) std::printf("%s%.2f", i == 0 ? "" : ",", values[i]);
      std::printf("],");
    };
    std::printf("{");
    list("load_ms", load_ms);
    list("first_ms", first_ms);
    list("run_ms", run_ms);
    std::printf("\"private_kb\":%lu,\"start_kb\":%lu,\"peak_kb\":%lu,\"sum\":%.9g}\n", PrivateKb(), start_kb,
                Kilobytes("/proc/self/status", {"VmHWM"}), sum);
    std::fflush(stdout);
  }
};

// The inputs of the two shapes: 16 tokens, or one picture of 224x224.
struct Inputs {
  std::vector<int64_t> tokens = std::vector<int64_t>(16, 1);
  std::vector<float> pixels = std::vector<float>(3 * 224 * 224, 0.3F);
  std::vector<int64_t> token_shape = {1, 16};
  std::vector<int64_t> pixel_shape = {1, 3, 224, 224};
};
Inputs& TheInputs() {
  static Inputs inputs;
  return inputs;
}

double SumOf(const float* values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += std::abs(values[i]);
  return sum;
}

// --- ONNX Runtime alone ---

Answer LoadEngine(Ort::Env& env, const std::string& path, int threads) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(threads);
  auto session = std::make_shared<Ort::Session>(env, path.c_str(), options);
  return [session] {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<std::string> names;
    std::vector<Ort::Value> values;
    Inputs& in = TheInputs();
    for (size_t i = 0; i < session->GetInputCount(); ++i) {
      names.emplace_back(session->GetInputNameAllocated(i, allocator).get());
      const bool pixels = names.back() == "pixel_values";
      values.push_back(pixels ? Ort::Value::CreateTensor<float>(memory, in.pixels.data(), in.pixels.size(),
                                                                in.pixel_shape.data(), 4)
                              : Ort::Value::CreateTensor<int64_t>(memory, in.tokens.data(), in.tokens.size(),
                                                                  in.token_shape.data(), 2));
    }
    std::vector<const char*> raw;
    for (const std::string& name : names) raw.push_back(name.c_str());
    const auto output = session->GetOutputNameAllocated(0, allocator);
    const char* outputs[] = {output.get()};
    const auto result =
        session->Run(Ort::RunOptions{nullptr}, raw.data(), values.data(), values.size(), outputs, 1);
    return SumOf(result[0].GetTensorData<float>(), result[0].GetTensorTypeAndShapeInfo().GetElementCount());
  };
}

// --- the plugin ---

struct Sink {
  double sum = 0;
  bool first = true;
  std::string problem;
  static smi_code Output(void* ctx, const smi_tensor* tensor, uint32_t) {
    auto* self = static_cast<Sink*>(ctx);
    if (self->first)
      self->sum = SumOf(static_cast<const float*>(tensor->data), tensor->size_bytes / sizeof(float));
    self->first = false;
    return SMI_OK;
  }
  static void Done(void* ctx, smi_code code, const smi_error* error, const smi_timing*) {
    if (code != SMI_OK) static_cast<Sink*>(ctx)->problem = error->message;
  }
};

class PluginProcess {
 public:
  PluginProcess(const std::string& library, const std::string& cache) {
    void* handle = dlopen(library.c_str(), RTLD_NOW);
    if (handle == nullptr) Fail(dlerror());
    const auto entry = reinterpret_cast<smi_plugin_entry_fn>(dlsym(handle, SMI_PLUGIN_ENTRY));
    api_ = entry(SMI_VERSION, &error_);
    host_.struct_size = sizeof host_;
    host_.version = SMI_VERSION;
    host_.log = [](void*, int32_t level, smi_str text) {
      if (level >= 2) std::fprintf(stderr, "plugin: %.*s\n", static_cast<int>(text.size), text.data);
    };
    const smi_option option = {smi_text("weight_cache_dir"), smi_text(cache.c_str())};
    Check(api_->open(&host_, &option, cache.empty() ? 0 : 1, &plugin_, &error_));
  }

  Answer Load(const std::string& path, int threads) {
    smi_load_params params{};
    params.struct_size = sizeof params;
    params.path = smi_text(path.c_str());
    params.format = smi_text("onnx");
    params.n_threads = static_cast<uint32_t>(threads);
    smi_model* model = nullptr;
    Check(api_->load(plugin_, &params, &model, &error_));
    return [this, model] { return Run(model); };
  }

 private:
  double Run(smi_model* model) {
    const smi_model_info* info = api_->describe_model(model);
    std::vector<smi_tensor> inputs;
    Inputs& in = TheInputs();
    for (uint32_t i = 0; i < info->n_inputs; ++i) {
      smi_tensor tensor{};
      tensor.struct_size = sizeof tensor;
      tensor.name = SMI_AT(info->inputs, smi_tensor_spec, i)->name;
      const bool pixels = smi_str_is(tensor.name, smi_text("pixel_values"));
      tensor.dtype = pixels ? SMI_FP32 : SMI_INT64;
      tensor.shape = pixels ? in.pixel_shape.data() : in.token_shape.data();
      tensor.rank = pixels ? 4 : 2;
      tensor.data = pixels ? static_cast<void*>(in.pixels.data()) : in.tokens.data();
      tensor.size_bytes = pixels ? in.pixels.size() * sizeof(float) : in.tokens.size() * sizeof(int64_t);
      inputs.push_back(tensor);
    }
    smi_execute_params params{};
    params.struct_size = sizeof params;
    params.inputs = inputs.data();
    params.n_inputs = static_cast<uint32_t>(inputs.size());
    params.outputs = &SMI_AT(info->outputs, smi_tensor_spec, 0)->name;
    params.n_outputs = 1;
    Sink result;
    smi_output_sink sink{};
    sink.struct_size = sizeof sink;
    sink.ctx = &result;
    sink.output = Sink::Output;
    sink.done = Sink::Done;
    Check(api_->execute(model, &params, &sink, nullptr, &error_));
    if (!result.problem.empty()) Fail(result.problem);
    return result.sum;
  }
  void Check(smi_code code) const {
    if (code != SMI_OK) Fail(error_.message);
  }

  const smi_plugin_api* api_ = nullptr;
  smi_host_api host_{};
  smi_plugin* plugin_ = nullptr;
  smi_error error_ = {sizeof(smi_error), 0, {}};
};

int Convert(const std::string& folder) {
  const auto result = mlos::convert::Convert(folder, {});
  if (!result.ok()) Fail(result.status().ToString());
  std::ofstream(folder + "/model.onnx", std::ios::binary) << result->graphs.front().onnx;
  return 0;
}

// Run by run in turn, the first one alternating, so that what the machine does meanwhile meets both.
int Pair(const std::string& model, const std::string& other, int threads, int runs) {
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "bench");
  const Answer answers[] = {LoadEngine(env, model, threads), LoadEngine(env, other, threads)};
  const double sums[] = {answers[0](), answers[1]()};
  std::vector<double> times[2];
  for (int i = 0; i < runs; ++i) {
    for (const int which : {i % 2, 1 - i % 2}) {
      const auto start = Clock::now();
      answers[which]();
      times[which].push_back(MillisSince(start));
    }
  }
  for (int which = 0; which < 2; ++which) {
    std::printf("%s[", which == 0 ? "{\"ms\":" : ",\"other_ms\":");
    for (int i = 0; i < runs; ++i) std::printf("%s%.4f", i == 0 ? "" : ",", times[which][i]);
    std::printf("]");
  }
  std::printf(",\"difference\":%.3g}\n", std::abs(sums[0] - sums[1]) / sums[1]);
  return 0;
}

void AnswerLines(const Report& report) {
  report.Print();
  for (std::string line; std::getline(std::cin, line);) report.Print();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 2 && args[0] == "convert") return Convert(args[1]);
  if (args.size() == 5 && args[0] == "pair")
    return Pair(args[1], args[2], std::atoi(args[3].c_str()), std::atoi(args[4].c_str()));
  if (args.size() < 4) return 2;
  const int sessions = std::atoi(args[2].c_str());
  const int threads = std::atoi(args[3].c_str());
  std::vector<Answer> loaded;
  if (args[0] == "engine") {
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "bench");
    Report report;
    for (int i = 0; i < sessions; ++i)
      report.Measure([&] { return LoadEngine(env, args[1], threads); }, &loaded);
    AnswerLines(report);
    loaded.clear();
  } else if (args[0] == "plugin" && args.size() == 6) {
    PluginProcess plugin(args[4], args[5]);
    Report report;
    for (int i = 0; i < sessions; ++i) report.Measure([&] { return plugin.Load(args[1], threads); }, &loaded);
    AnswerLines(report);
  } else {
    return 2;
  }
  // The models end with the process.
  std::fflush(stdout);
  std::quick_exit(0);
}
