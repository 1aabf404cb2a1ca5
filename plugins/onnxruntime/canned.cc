// SPDX-License-Identifier: Apache-2.0
#include "canned.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "smi/plugin_util.h"
#include "tensors.h"

namespace mlos_ort {
namespace {

// Tokens first, then pictures of the sizes that small and usual networks want.
constexpr int64_t kSizes[] = {8, 1, 32, 224};
constexpr int64_t kLimitMs = 20'000;
constexpr uint64_t kMaxElements = 1 << 24;
constexpr double kTolerance = 1e-4;

// Ends a run that takes too long.
class Watchdog {
 public:
  Watchdog(Ort::RunOptions& run, int64_t limit_ms)
      : thread_([this, &run, limit_ms] {
          std::unique_lock lock(mutex_);
          if (!over_.wait_for(lock, std::chrono::milliseconds(limit_ms), [this] { return done_; }))
            run.SetTerminate();
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    over_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread thread_;  // last: it uses the others
};

// 0.1, 0.2, ..., 0.7, 0.1, ... for floats, else ones. Nothing for what has no such value.
std::optional<Ort::Value> CannedInput(const Port& port, int64_t free_size) {
  std::vector<int64_t> shape = port.shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) shape[i] = i == 0 ? 1 : free_size;
  }
  uint64_t count = 0;
  if (port.dtype == SMI_BYTES ||
      !smi_element_count(shape.data(), static_cast<uint32_t>(shape.size()), &count) || count > kMaxElements) {
    return std::nullopt;
  }
  Ort::Value out = Filled(port.type, shape.data(), shape.size(), Default::kOnes);
  if (port.dtype == SMI_FP32) {
    float* const values = out.GetTensorMutableData<float>();
    for (uint64_t i = 0; i < count; ++i) values[i] = 0.1F * static_cast<float>(1 + i % 7);
  }
  return out;
}

template <typename T>
bool NearlyEqual(const Ort::Value& a, const Ort::Value& b, size_t count) {
  const T* const x = a.GetTensorData<T>();
  const T* const y = b.GetTensorData<T>();
  double largest = 1;
  for (size_t i = 0; i < count; ++i) {
    if (std::isfinite(x[i])) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
  }
  return std::equal(x, x + count, y, [&](T left, T right) {
    if (left == right || (std::isnan(left) && std::isnan(right))) return true;
    return std::abs(static_cast<double>(left) - static_cast<double>(right)) <= kTolerance * largest;
  });
}

bool SameNumbers(const Port& port, const Ort::Value& a, const Ort::Value& b, size_t count) {
  switch (port.dtype) {
    case SMI_FP32:
      return NearlyEqual<float>(a, b, count);
    case SMI_FP64:
      return NearlyEqual<double>(a, b, count);
    case SMI_BYTES:
      return true;
    default:
      return std::memcmp(a.GetTensorRawData(), b.GetTensorRawData(), count * smi_dtype_size(port.dtype)) == 0;
  }
}

}  // namespace

std::optional<std::vector<Ort::Value>> CannedRun(Ort::Session& session, const std::vector<Port>& inputs,
                                                 const std::vector<Port>& outputs, int64_t free_size,
                                                 int64_t limit_ms) {
  std::vector<const char*> input_names;
  std::vector<Ort::Value> values;
  for (const Port& port : inputs) {
    if (port.missing == Default::kModelsOwn) continue;
    std::optional<Ort::Value> value = CannedInput(port, free_size);
    if (!value) return std::nullopt;
    values.push_back(std::move(*value));
    input_names.push_back(port.name.c_str());
  }
  std::vector<const char*> output_names;
  for (const Port& port : outputs) output_names.push_back(port.name.c_str());
  Ort::RunOptions options;
  options.SetRunLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  const Watchdog watchdog(options, limit_ms);
  try {
    return session.Run(options, input_names.data(), values.data(), values.size(), output_names.data(),
                       output_names.size());
  } catch (const Ort::Exception&) {
    return std::nullopt;
  }
}

std::string Difference(const std::vector<Port>& outputs, const std::vector<Ort::Value>& a,
                       const std::vector<Ort::Value>& b) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!a[i].IsTensor() || !b[i].IsTensor()) continue;
    const auto left = a[i].GetTensorTypeAndShapeInfo();
    const auto right = b[i].GetTensorTypeAndShapeInfo();
    if (left.GetElementType() != right.GetElementType() || left.GetShape() != right.GetShape()) {
      return "output '" + outputs[i].name + "' has another type or shape";
    }
    if (!SameNumbers(outputs[i], a[i], b[i], left.GetElementCount())) {
      return "output '" + outputs[i].name + "' has other values";
    }
  }
  return "";
}

std::string CompareOnCannedInputs(Ort::Session& a, Ort::Session& b, const std::vector<Port>& inputs,
                                  const std::vector<Port>& outputs) {
  for (const int64_t size : kSizes) {
    const auto left = CannedRun(a, inputs, outputs, size, kLimitMs);
    if (!left) continue;
    const auto right = CannedRun(b, inputs, outputs, size, kLimitMs);
    return right ? Difference(outputs, *left, *right) : "it does not run on inputs that the model takes";
  }
  return "";
}

}  // namespace mlos_ort
