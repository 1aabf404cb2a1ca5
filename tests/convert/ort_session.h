// SPDX-License-Identifier: Apache-2.0
// Runs a model.onnx in the real ONNX Runtime, for tests.
#pragma once

#include <filesystem>
#include <map>
#include <string>
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
  std::map<std::string, FloatTensor> Run(std::map<std::string, IntTensor> given) {
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<const char*> input_names;
    std::vector<Ort::Value> values;
    for (const std::string& name : inputs_) {
      IntTensor& tensor = given.at(name);
      input_names.push_back(name.c_str());
      values.push_back(Ort::Value::CreateTensor<int64_t>(memory, tensor.values.data(), tensor.values.size(),
                                                         tensor.shape.data(), tensor.shape.size()));
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
