// SPDX-License-Identifier: Apache-2.0
// What a file is, told from its name and from its bytes. The bytes decide; where the name promises something
// else, or the bytes are damaged, the answer is an error that says both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"

namespace mlos::package {

enum class FileFormat {
  kUnknown,
  kOnnx,
  kGguf,
  kSafetensors,
  kPytorchZip,  // torch.save since 1.6, or TorchScript
  kPickle,      // bare pickle: legacy torch.save and others
  kHdf5,        // Keras .h5
  kTflite,
  kSavedModel,  // TensorFlow SavedModel: saved_model.pb, or the folder that holds it
  kZip,
};
std::string_view FileFormatName(FileFormat format);  // "onnx" "gguf" "safetensors" "pytorch" "pickle" ...

// What the name promises: .onnx .gguf .safetensors .pt .pth .ckpt pytorch_model*.bin .pkl .pickle .joblib .h5
// .hdf5 .keras .tflite saved_model.pb .zip; kUnknown for all others. Case does not count.
FileFormat FormatFromName(const std::filesystem::path& path);

// Looks at the first bytes and at what the structure needs (protobuf fields, tensor tables, zip directory),
// never at weights. kUnknown when neither the name nor the bytes say anything. kDataLoss when the name
// promises a format and the bytes are damaged or something else, or when the bytes start as a format and are
// damaged or cut short.
Result<FileFormat> DetectFormat(const std::filesystem::path& path);
// The same for bytes in memory; `name` for what it promises and for messages.
Result<FileFormat> DetectFormat(std::span<const std::byte> bytes, const std::filesystem::path& name);

// What the model file itself declares. ONNX: graph.input without initializers, graph.output; dimensions
// without a size are -1, with their symbolic names. GGUF: no tensors for a language model; "text" BYTES
// [batch] -> "embedding" FP32 [batch, width] for an embedding model. Other formats: nothing.
struct ModelFileInfo {
  FileFormat format = FileFormat::kUnknown;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::string architecture;      // GGUF general.architecture
  std::string name;              // GGUF general.name
  uint64_t parameter_count = 0;  // elements of all weights; 0 = unknown
  // ONNX external data: files beside the model, relative, sorted; what the model reads of each reaches to
  // this byte.
  std::vector<std::string> external_files;
  std::vector<uint64_t> external_min_bytes;
  // GGUF only.
  uint32_t context_length = 0;
  uint32_t embedding_length = 0;
  bool is_embedding_model = false;
  bool has_chat_template = false;
  uint32_t split_count = 0;  // > 1: one of several files
};

// kDataLoss for a damaged file, for external data outside the model's folder and for tensors outside the
// file; kUnimplemented for what mlOS has no type for (sequences, complex numbers, 4-bit and 8-bit floats),
// naming the input or output. Weights are neither read nor copied. External files need not be there.
Result<ModelFileInfo> InspectModelFile(const std::filesystem::path& path);
Result<ModelFileInfo> InspectModel(std::span<const std::byte> bytes, const std::filesystem::path& name);

}  // namespace mlos::package
