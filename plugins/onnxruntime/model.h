// SPDX-License-Identifier: Apache-2.0
// A loaded model: the engine's session, what the model declares, its counters.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "onnx_file.h"
#include "onnxruntime_cxx_api.h"
#include "options.h"
#include "output_shapes.h"
#include "plugin.h"
#include "sessions.h"
#include "smi/smi.h"

namespace mlos_ort {

// What the plugin puts in for an input that a request leaves out.
enum class Default {
  kNone,       // must be given
  kModelsOwn,  // the model has a value (an initializer that is also an input)
  kOnes,       // shaped like input_ids
  kZeros,      // shaped like input_ids
};

// One input or output as the model declares it. Constant after load.
struct Port {
  std::string name;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  smi_dtype dtype = SMI_DTYPE_INVALID;
  std::vector<int64_t> shape;  // -1 = any size
  std::vector<std::string> dim_names;
  Default missing = Default::kNone;
};

// "FP32 [batch, 3]".
std::string ToString(const Port& port);

// describe.cc: reads the ports from the session. Throws Failure for inputs that are no tensors of a known dtype; such
// outputs are left out and logged.
std::vector<Port> ReadInputs(const Ort::Session& session);
std::vector<Port> ReadOutputs(const Ort::Session& session, const smi_plugin& plugin);
// Marks the inputs that have a default (see Default).
void AssignDefaults(std::vector<Port>* inputs);
// What batching may gain at most for models with a batch dimension: see README.md.
uint32_t PreferredBatch(const std::vector<Port>& inputs);
// 0 when dimension 0 of every input and output is free and is the same thing everywhere; else -1.
int32_t BatchDimension(const std::vector<Port>& inputs, const std::vector<Port>& outputs);

// SMI's view of ports; borrows from them.
class PortSpecs {
 public:
  void Fill(const std::vector<Port>& ports);
  const std::vector<smi_tensor_spec>& specs() const { return specs_; }

 private:
  std::vector<smi_tensor_spec> specs_;
  std::vector<std::vector<smi_str>> dim_names_;
};

}  // namespace mlos_ort

struct smi_model {
  // Throws Failure or Ort::Exception.
  smi_model(smi_plugin* plugin, const smi_load_params& params);
  smi_model(const smi_model&) = delete;
  smi_model& operator=(const smi_model&) = delete;

  // Index, or -1.
  int FindInput(std::string_view name) const;
  int FindOutput(std::string_view name) const;

  // Constant after construction.
  smi_plugin* const plugin;
  const mlos_ort::ModelOptions options;
  bool shrink_arena = false;  // after each call
  std::unique_ptr<mlos_ort::Sessions> sessions;
  std::vector<mlos_ort::Port> inputs;
  std::vector<mlos_ort::Port> outputs;
  int input_ids = -1;  // index of the input that defaults take their shape from
  mlos_ort::PortSpecs input_specs;
  mlos_ort::PortSpecs output_specs;
  smi_model_info info{};
  mlos_ort::OutputShapes output_shapes;
  Ort::MemoryInfo memory{nullptr};

  // False once the model has produced a shape that its own dimension names rule out.
  std::atomic<bool> shapes_are_true{true};

  // Guarded by mutex.
  std::mutex mutex;
  std::condition_variable left;
  smi_model_stats stats{};
  uint32_t leaving = 0;  // calls that are over, but whose done() has not returned
};
