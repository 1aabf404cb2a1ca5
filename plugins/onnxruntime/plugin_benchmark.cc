// SPDX-License-Identifier: Apache-2.0
// What the plugin adds to the engine, and what threads, spinning and the arena cost. The model is a chain of MatMul and Relu,
// `layers` times [rows, width] x [width, width], made here.
//   Engine/...  the engine alone, called by its own API
//   Plugin/...  the same model through the plugin's table
// Counters: min_us = the fastest call, which is what counts on a machine with other work; cpu_us = CPU time of the whole
// process a call; idle_cpu_ms = CPU time in the 100 ms after the last call.
#include <benchmark/benchmark.h>
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client.h"
#include "smi/plugin_util.h"

namespace {

// --- a model, as protobuf ----------------------------------------------------------------------------------------

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string Number(int id, uint64_t value) { return Varint(static_cast<uint64_t>(id) << 3) + Varint(value); }
std::string Bytes(int id, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(id) << 3 | 2) + Varint(bytes.size()) + bytes;
}

// ValueInfoProto of FP32 [rows, width]
std::string Value(const std::string& name, int width) {
  const std::string shape = Bytes(1, Bytes(2, "rows")) + Bytes(1, Number(1, static_cast<uint64_t>(width)));
  return Bytes(1, name) + Bytes(2, Bytes(1, Number(1, 1) + Bytes(2, shape)));
}

std::string Node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
  std::string out;
  for (const std::string& input : inputs) out += Bytes(1, input);
  return Bytes(1, out + Bytes(2, output) + Bytes(4, op));
}

std::string Chain(int layers, int width) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1.0F / static_cast<float>(width));
  std::string nodes;
  std::string weights;
  std::string from = "x";
  for (int i = 0; i < layers; ++i) {
    const std::string n = std::to_string(i);
    std::vector<float> values(static_cast<size_t>(width) * static_cast<size_t>(width));
    for (float& value : values) value = normal(random);
    const std::string raw(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    const auto dim = static_cast<uint64_t>(width);
    weights += Bytes(5, Number(1, dim) + Number(1, dim) + Number(2, 1) + Bytes(8, "w" + n) + Bytes(9, raw));
    const std::string to = i + 1 == layers ? "y" : "a" + n;
    nodes += Node("MatMul", {from, "w" + n}, "m" + n) + Node("Relu", {"m" + n}, to);
    from = to;
  }
  const std::string graph =
      nodes + Bytes(2, "chain") + weights + Bytes(11, Value("x", width)) + Bytes(12, Value("y", width));
  return Number(1, 8) + Bytes(7, graph) + Bytes(8, Bytes(1, "") + Number(2, 17));
}

// Where the models lie; removed at the end.
struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlos_benchmark_XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::filesystem::path ChainFile(int layers, int width) {
  static const Folder folder;
  const auto path = folder.path / (std::to_string(layers) + "_" + std::to_string(width) + ".onnx");
  std::ofstream(path, std::ios::binary) << Chain(layers, width);
  return path;
}

double ProcessCpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Times calls, counts the CPU time of all of them, then that of the time after them.
class Meter {
 public:
  explicit Meter(benchmark::State& state) : state_(state), start_(ProcessCpuSeconds()) {}
  ~Meter() {
    const double ended = ProcessCpuSeconds();
    state_.counters["min_us"] = static_cast<double>(fastest_ns_) * 1e-3;
    state_.counters["cpu_us"] = (ended - start_) * 1e6 / static_cast<double>(state_.iterations());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    state_.counters["idle_cpu_ms"] = (ProcessCpuSeconds() - ended) * 1e3;
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  template <typename Call>
  void Time(const Call& call) {
    const int64_t begun_ns = smi_now_ns();
    call();
    fastest_ns_ = std::min(fastest_ns_, smi_now_ns() - begun_ns);
  }

 private:
  benchmark::State& state_;
  const double start_;
  int64_t fastest_ns_ = INT64_MAX;
};

// --- the two sides -----------------------------------------------------------------------------------------------

// The sink of a host that keeps its outputs' memory.
struct Sink {
  std::vector<float> memory;
  smi_code code = SMI_INTERNAL;
};
void* Reserve(void* ctx, smi_str /*name*/, uint64_t size_bytes) {
  auto& sink = *static_cast<Sink*>(ctx);
  sink.memory.resize(size_bytes / sizeof(float));
  return sink.memory.data();
}
smi_code Output(void* /*ctx*/, const smi_tensor* tensor, uint32_t /*part*/) {
  benchmark::DoNotOptimize(tensor->data);
  return SMI_OK;
}
void Done(void* ctx, smi_code code, const smi_error* /*error*/, const smi_timing* /*timing*/) {
  static_cast<Sink*>(ctx)->code = code;
}

smi_test::Tensor Rows(int rows, int width) {
  const auto count = static_cast<size_t>(rows) * static_cast<size_t>(width);
  return smi_test::Tensor::Of<float>("x", SMI_FP32, {rows, width}, std::vector<float>(count, 0.5F));
}

smi_code Call(const smi_test::Model& model, const smi_test::Tensor& x, Sink* sink) {
  const smi_tensor input = smi_test::Borrow(x);
  smi_execute_params params{};
  params.struct_size = sizeof params;
  params.inputs = &input;
  params.n_inputs = 1;
  const smi_output_sink output_sink = {sizeof output_sink, 0, sink, Output, Done, Reserve};
  smi_call* call = nullptr;
  model.api().execute(model.get(), &params, &output_sink, &call, nullptr);
  return sink->code;
}

void RunPlugin(benchmark::State& state, const smi_test::Options& open, const smi_test::Options& load,
               int layers, int width, int rows) {
  const smi_test::Plugin plugin(MLOS_PLUGIN, open);
  const smi_test::Model model = plugin.Load(ChainFile(layers, width), load);
  const smi_test::Tensor x = Rows(rows, width);
  Sink sink;
  Meter meter(state);
  for (auto _ : state) {
    smi_code code = SMI_OK;
    meter.Time([&] { code = Call(model, x, &sink); });
    if (code != SMI_OK) state.SkipWithError("the call failed");
  }
}

void Engine(benchmark::State& state) {
  const auto layers = static_cast<int>(state.range(0));
  const auto width = static_cast<int>(state.range(1));
  const std::array<int64_t, 2> shape = {state.range(2), width};
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "benchmark");
  env.DisableTelemetryEvents();
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  Ort::Session session(env, ChainFile(layers, width).c_str(), options);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<float> x(static_cast<size_t>(shape[0] * shape[1]), 0.5F);
  const char* input_name = "x";
  const char* output_name = "y";
  Meter meter(state);
  for (auto _ : state) {
    meter.Time([&] {
      const Ort::Value input =
          Ort::Value::CreateTensor<float>(memory, x.data(), x.size(), shape.data(), shape.size());
      const auto output = session.Run(Ort::RunOptions{nullptr}, &input_name, &input, 1, &output_name, 1);
      benchmark::DoNotOptimize(output[0].GetTensorRawData());
    });
  }
}

void PluginThreads(benchmark::State& state) {
  const smi_test::Options open = {{"threads", std::to_string(state.range(3))},
                                  {"spin", state.range(4) != 0 ? "on" : "off"}};
  RunPlugin(state, open, {}, static_cast<int>(state.range(0)), static_cast<int>(state.range(1)),
            static_cast<int>(state.range(2)));
}

constexpr const char* kArena[] = {"on", "off", "shrink"};
void PluginArena(benchmark::State& state) {
  RunPlugin(state, {{"threads", "1"}}, {{"arena", kArena[state.range(3)]}}, static_cast<int>(state.range(0)),
            static_cast<int>(state.range(1)), static_cast<int>(state.range(2)));
}

// What stays resident after one large call and one small one.
void PluginArenaMemory(benchmark::State& state) {
  const smi_test::Plugin plugin(MLOS_PLUGIN, {{"threads", "1"}});
  const smi_test::Model model = plugin.Load(ChainFile(4, 1024), {{"arena", kArena[state.range(0)]}});
  const auto resident_mib = [] {
    long total = 0;
    long resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return static_cast<double>(resident) * 4096 / (1 << 20);
  };
  const double before = resident_mib();
  for (auto _ : state) {
    {
      Sink sink;
      Call(model, Rows(8192, 1024), &sink);
    }
    Sink sink;
    Call(model, Rows(1, 1024), &sink);
  }
  state.counters["kept_mib"] = resident_mib() - before;
}

const std::vector<std::string> kShape = {"layers", "width", "rows"};
BENCHMARK(Engine)->ArgNames(kShape)->Args({2, 32, 1})->Args({8, 512, 16})->UseRealTime();
BENCHMARK(PluginThreads)
    ->ArgNames({"layers", "width", "rows", "threads", "spin"})
    ->ArgsProduct({{2}, {32}, {1}, {1, 2}, {0, 1}})
    ->ArgsProduct({{8}, {512}, {16}, {1, 2}, {0, 1}})
    ->ArgsProduct({{4}, {1024}, {128}, {1, 2}, {0, 1}})
    ->UseRealTime();
BENCHMARK(PluginArena)
    ->ArgNames({"layers", "width", "rows", "arena"})
    ->ArgsProduct({{2}, {32}, {1}, {0, 1, 2}})
    ->ArgsProduct({{8}, {512}, {16}, {0, 1, 2}})
    ->ArgsProduct({{16}, {64}, {8192}, {0, 1, 2}})
    ->UseRealTime();
BENCHMARK(PluginArenaMemory)->ArgNames({"arena"})->Arg(0)->Arg(1)->Arg(2)->Iterations(1);

}  // namespace
