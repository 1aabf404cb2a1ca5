// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime without a server: CALLERS threads run one session of THREADS threads for SECONDS. Prints one JSON line; `rps` counts rows,
// `error` is the median of |t - median of the 32 runs before| / t, of one caller after another: how well a run can be predicted here.
// usage: bench_engine_load MODEL THREADS CALLERS SECONDS [LENGTH [ROWS]]    free dimensions: the first is ROWS (1), the others LENGTH (16)
#include <onnxruntime_cxx_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Input {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> floats;
  std::vector<int64_t> integers;
};

std::vector<Input> MakeInputs(Ort::Session& session, int64_t length, int64_t rows) {
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<Input> inputs;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    const Ort::TypeInfo type = session.GetInputTypeInfo(i);
    const auto info = type.GetTensorTypeAndShapeInfo();
    Input input{.name = session.GetInputNameAllocated(i, allocator).get(), .shape = info.GetShape()};
    size_t count = 1;
    for (size_t d = 0; d < input.shape.size(); ++d) {
      if (input.shape[d] < 0) input.shape[d] = d == 0 ? rows : length;
      count *= static_cast<size_t>(input.shape[d]);
    }
    if (info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
      input.integers.assign(count, input.name == "token_type_ids" ? 0 : 1);
    } else {
      input.floats.assign(count, 0.5F);
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

void Call(Ort::Session& session, std::vector<Input> inputs, const std::vector<const char*>& outputs,
          Clock::time_point warm, Clock::time_point end, std::vector<double>* ms) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<const char*> names;
  std::vector<Ort::Value> values;
  for (Input& in : inputs) {
    names.push_back(in.name.c_str());
    if (in.floats.empty()) {
      values.push_back(Ort::Value::CreateTensor<int64_t>(memory, in.integers.data(), in.integers.size(),
                                                         in.shape.data(), in.shape.size()));
    } else {
      values.push_back(Ort::Value::CreateTensor<float>(memory, in.floats.data(), in.floats.size(),
                                                       in.shape.data(), in.shape.size()));
    }
  }
  while (true) {
    const auto start = Clock::now();
    if (start >= end) return;
    auto result = session.Run(Ort::RunOptions{nullptr}, names.data(), values.data(), values.size(),
                              outputs.data(), outputs.size());
    const auto done = Clock::now();
    if (done >= warm && done <= end)
      ms->push_back(std::chrono::duration<double, std::milli>(done - start).count());
  }
}

// As src/sched/execution_profile.h predicts, and judges what it predicted.
void AddErrors(const std::vector<double>& ms, std::vector<double>* errors) {
  constexpr size_t kWindow = 32;
  for (size_t i = 4; i < ms.size(); ++i) {
    const size_t from = i < kWindow ? 0 : i - kWindow;
    std::vector<double> before(ms.begin() + static_cast<std::ptrdiff_t>(from),
                               ms.begin() + static_cast<std::ptrdiff_t>(i));
    const auto middle = before.begin() + static_cast<std::ptrdiff_t>(before.size() / 2);
    std::nth_element(before.begin(), middle, before.end());
    errors->push_back(std::abs(*middle - ms[i]) / ms[i]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s MODEL THREADS CALLERS SECONDS [LENGTH [ROWS]]\n", argv[0]);
    return 2;
  }
  const int callers = std::max(1, std::atoi(argv[3]));
  const double seconds = std::atof(argv[4]);
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "engine");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(std::max(1, std::atoi(argv[2])));
  Ort::Session session(env, argv[1], options);
  const int64_t rows = argc > 6 ? std::max(1LL, std::atoll(argv[6])) : 1;
  const std::vector<Input> inputs = MakeInputs(session, argc > 5 ? std::atoll(argv[5]) : 16, rows);
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<Ort::AllocatedStringPtr> owned;
  std::vector<const char*> outputs;
  for (size_t i = 0; i < session.GetOutputCount(); ++i) {
    owned.push_back(session.GetOutputNameAllocated(i, allocator));
    outputs.push_back(owned.back().get());
  }
  const auto span = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  const auto warm = Clock::now() + span / 4;
  const auto end = warm + span;
  std::vector<std::vector<double>> ms(static_cast<size_t>(callers));
  std::vector<std::thread> threads;
  for (auto& each : ms)
    threads.emplace_back([&, mine = &each] { Call(session, inputs, outputs, warm, end, mine); });
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  std::vector<double> errors;
  for (const auto& each : ms) {
    all.insert(all.end(), each.begin(), each.end());
    AddErrors(each, &errors);
  }
  std::sort(errors.begin(), errors.end());
  std::sort(all.begin(), all.end());
  const auto at = [&](double q) {
    return all.empty()
               ? 0
               : all[std::min(all.size() - 1, static_cast<size_t>(q * static_cast<double>(all.size())))];
  };
  std::printf("{\"rps\":%.2f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"error\":%.4f}\n",
              static_cast<double>(all.size()) * static_cast<double>(rows) / seconds, at(0.5), at(0.99),
              errors.empty() ? 0 : errors[errors.size() / 2]);
  return 0;
}
