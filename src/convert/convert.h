// SPDX-License-Identifier: Apache-2.0
// Native conversion: a checkpoint folder as Hugging Face lays it out, safetensors or PyTorch, becomes an ONNX graph whose
// initializers point into the original weight file. No interpreter, no second copy of the weights, no pickle executed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"

namespace mlos::convert {

struct ConvertOptions {
  std::string task;     // "" = from config.json's architectures
  std::string weights;  // "" = as FindWeightFiles chooses; else a file of the folder
  // True: matrices of linear layers as int8, per output channel, in kInt8File; activations are quantised as they come. For models
  // of one graph. kUnimplemented when there is nothing to quantise.
  bool int8 = false;
};

// Bytes of a weight file that the engine cannot map where they lie and so are copied into kSideCarFile: not aligned to their
// element size (safetensors before 0.3, PyTorch before 1.6), or not in row-major order.
struct SideCarPiece {
  std::string file;  // relative to the package folder
  uint64_t offset = 0;
  uint64_t size_bytes = 0;  // in the side-car
  uint64_t target_offset = 0;
  DType dtype = DType::kInvalid;  // of the source
  Shape shape;
  Shape strides;  // empty = the bytes are in order
  enum class Form {
    kSame,
    kInt8,       // a matrix [out, in] as int8 [in, out]
    kInt8Scales  // FP32 [out]: what kInt8 of the same matrix is to be multiplied with
  };
  Form form = Form::kSame;
};
inline constexpr char kSideCarFile[] = "model.onnx.data";
inline constexpr char kInt8File[] = "model.int8.data";

// One ONNX file. External data locations are relative to the package folder, where it belongs.
inline constexpr char kGraphFile[] = "model.onnx";
struct ConvertedGraph {
  std::string
      file;  // kGraphFile; of a model of several graphs "encoder_model.onnx", "decoder_model.onnx", ...
  std::string type;  // "single", "encoder", "decoder", "decoder_with_past": execution_files of the manifest
  std::string onnx;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// Pooling of a sentence-transformers package is already in the graph.
struct ConvertResult {
  std::vector<ConvertedGraph> graphs;     // at least one, in the order in which they are used
  std::string architecture;               // "bert"
  std::string task;                       // "feature-extraction", "sentence-similarity", "fill-mask", ...
  std::vector<std::string> source_files;  // weight files the graphs were made from, relative
  std::vector<std::string> used_tensors;
  std::vector<std::string> ignored_tensors;  // with the reason in brackets
  std::vector<SideCarPiece>
      side_car;  // usually empty; else the graphs also need side_car_file (WriteSideCar)
  std::string side_car_file = kSideCarFile;
  uint64_t int8_tensors = 0;
  uint64_t parameter_count = 0;
  uint32_t max_length = 0;  // tokens the position table allows
};

// True when the folder holds something Convert may know: a weight file, and config.json or a PyTorch file without (torchvision).
bool LooksConvertible(const std::filesystem::path& package_dir);

// Reads headers only, milliseconds. kUnimplemented names the architecture, config value or tensor that is not supported;
// kDataLoss a damaged file; kPermissionDenied a malicious pickle. Without config.json the architecture is told from the names and
// shapes of the tensors. Writes nothing.
Result<ConvertResult> Convert(const std::filesystem::path& package_dir, const ConvertOptions& options);

// Writes `target_dir`/side_car_file, which belongs beside model.onnx; does nothing when the result needs none.
Status WriteSideCar(const std::filesystem::path& package_dir, const ConvertResult& result,
                    const std::filesystem::path& target_dir);

}  // namespace mlos::convert
