// SPDX-License-Identifier: Apache-2.0
// Runs a model.onnx in the real ONNX Runtime, for tests.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <onnxruntime_cxx_api.h>

namespace mlos::convert {

struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

struct IntTensor {
  std::vector<int64_t> shape;
  std::vector<int64_t> values;
};

// A tensor of any plain element type, as its bytes.
struct TypedTensor {
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

class OrtSession {
 public:
  explicit OrtSession(const std::filesystem::path& model)
      : session_(Environment(), model.c_str(), Options()) {
    Ort::AllocatorWithDefaultOptions allocator;
    for (size_t i = 0; i < session_.GetInputCount(); ++i)
      inputs_.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
    for (size_t i = 0; i < session_.GetOutputCount(); ++i)
      outputs_.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
  }

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::vector<std::string>& outputs() const { return outputs_; }

  // Every input of the model must be given; others are left out. Throws Ort::Exception.
  std::map<std::string, FloatTensor> Run(const std::map<std::string, IntTensor>& given) {
    std::map<std::string, TypedTensor> typed;
    for (const auto& [name, tensor] : given) {
      const auto bytes = std::as_bytes(std::span(tensor.values));
      typed[name] = {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, tensor.shape, {bytes.begin(), bytes.end()}};
    }
    return RunTyped(std::move(typed));
  }

  // The same with inputs of any type. Outputs must be FP32.
  std::map<std::string, FloatTensor> RunTyped(std::map<std::string, TypedTensor> given) {
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<const char*> input_names;
    std::vector<Ort::Value> values;
    for (const std::string& name : inputs_) {
      TypedTensor& tensor = given.at(name);
      input_names.push_back(name.c_str());
      values.push_back(Ort::Value::CreateTensor(memory, tensor.bytes.data(), tensor.bytes.size(),
                                                tensor.shape.data(), tensor.shape.size(), tensor.type));
    }
    std::vector<const char*> output_names;
    for (const std::string& name : outputs_) output_names.push_back(name.c_str());
    const std::vector<Ort::Value> answers =
        session_.Run(Ort::RunOptions{nullptr}, input_names.data(), values.data(), values.size(),
                     output_names.data(), output_names.size());
    std::map<std::string, FloatTensor> result;
    for (size_t i = 0; i < answers.size(); ++i) {
      FloatTensor tensor;
      tensor.shape = answers[i].GetTensorTypeAndShapeInfo().GetShape();
      const auto* data = answers[i].GetTensorData<float>();
      tensor.values.assign(data, data + answers[i].GetTensorTypeAndShapeInfo().GetElementCount());
      result.emplace(outputs_[i], std::move(tensor));
    }
    return result;
  }

 private:
  static Ort::Env& Environment() {
    static Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "convert_test");
    static const bool quiet = (environment.DisableTelemetryEvents(), true);
    (void)quiet;
    return environment;
  }
  static Ort::SessionOptions Options() {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    return options;
  }

  Ort::Session session_;
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
};

}  // namespace mlos::convert
