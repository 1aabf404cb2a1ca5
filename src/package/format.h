// SPDX-License-Identifier: Apache-2.0
// What a file is, told from its name and from its first bytes; the two may disagree, the bytes win.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"

namespace mlos::package {

enum class FileFormat {
  kUnknown,
  kOnnx,
  kGguf,
  kSafetensors,
  kPytorchZip,   // torch.save since 1.6, or TorchScript
  kPickle,       // bare pickle: legacy torch.save and others
  kHdf5,         // Keras .h5
  kTflite,
  kSavedModel,   // TensorFlow SavedModel: saved_model.pb, or the folder that holds it
  kZip,
};
std::string_view FileFormatName(FileFormat format);  // "onnx" "gguf" "safetensors" "pytorch" "pickle" ...
FileFormat FormatFromName(const std::filesystem::path& path);

// Reads at most the first 64 KiB (plus what a structural check needs) of the file. kDataLoss when the name promises a format
// and the bytes are damaged or something else: the error says both.
Result<FileFormat> DetectFormat(const std::filesystem::path& path);

// Inputs and outputs as the model file itself declares them. ONNX: graph.input without initializers, graph.output. GGUF:
// no tensors for a language model; text -> embedding for an embedding model.
struct ModelFileInfo {
  FileFormat format = FileFormat::kUnknown;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::string architecture;                    // GGUF general.architecture
  std::string name;                            // GGUF general.name
  uint64_t parameter_count = 0;                // when known
  std::vector<std::string> external_files;     // ONNX external data, relative paths
};
Result<ModelFileInfo> InspectModelFile(const std::filesystem::path& path);

}  // namespace mlos::package
