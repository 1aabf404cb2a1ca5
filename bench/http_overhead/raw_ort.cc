// SPDX-License-Identifier: Apache-2.0
// The same model in ONNX Runtime without a server: the time of Run() alone. Prints one JSON line.
// usage: bench_raw_ort MODEL RUNS     one float input; free dimensions are 1
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  using Clock = std::chrono::steady_clock;
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "raw");
  Ort::SessionOptions options;
  Ort::Session session(env, argv[1], options);
  Ort::AllocatorWithDefaultOptions allocator;
  const auto input_name = session.GetInputNameAllocated(0, allocator);
  const auto output_name = session.GetOutputNameAllocated(0, allocator);
  std::vector<int64_t> shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
  for (int64_t& dim : shape) dim = std::max<int64_t>(dim, 1);
  std::vector<float> values(
      static_cast<size_t>(std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())),
      0.5F);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Value input =
      Ort::Value::CreateTensor<float>(memory, values.data(), values.size(), shape.data(), shape.size());
  const char* inputs[] = {input_name.get()};
  const char* outputs[] = {output_name.get()};
  const int runs = std::atoi(argv[2]);
  std::vector<double> us;
  for (int i = 0; i < runs + runs / 10; ++i) {
    const auto start = Clock::now();
    auto result = session.Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 1);
    if (i >= runs / 10) us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(us.begin(), us.end());
  std::printf("{\"requests\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"min_us\":%.1f}\n", us.size(),
              us[us.size() / 2], us[us.size() * 99 / 100], us[0]);
  return 0;
}
