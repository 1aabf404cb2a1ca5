// SPDX-License-Identifier: Apache-2.0
// manifest.yaml, version 1: what a package is and how to run it. Format: docs/formats/manifest.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"

namespace mlos::package {

struct PackageFile {
  std::string path;  // relative, inside the package
  uint64_t size_bytes = 0;
  // 64 lower-case hex digits; "" = unknown, only in manifests of the original (apiVersion "v1").
  std::string sha256;

  bool operator==(const PackageFile&) const = default;
};

// Null when none has that path. Points into `files`.
const PackageFile* FindFile(std::span<const PackageFile> files, std::string_view path);

struct ExecutionFile {
  std::string path;
  std::string format;  // "onnx", "gguf", ...
  // single | encoder | decoder | decoder_with_past | text_encoder | vision_encoder
  std::string type = "single";

  bool operator==(const ExecutionFile&) const = default;
};

// How text becomes token inputs (spec.text); present when the package brings a tokenizer for a tensor model.
struct TextSpec {
  std::string tokenizer = "tokenizer.json";  // file in the package
  uint32_t max_length = 0;                   // tokens, special ones included; 0 = no limit
  std::string output;  // what a client that sends text gets first, e.g. "sentence_embedding"
  // Post-processing for graphs that end in token embeddings; empty when the graph pools itself.
  std::string pooling;  // "", "mean", "cls", "max"
  bool normalize = false;
  std::string pooling_input;  // output that is pooled, e.g. "last_hidden_state"

  bool operator==(const TextSpec&) const = default;
};

// How a picture becomes pixel_values (spec.image), as the checkpoint states it; what it leaves out is up to the processor's class.
struct ImageSpec {
  std::string config = "preprocessor_config.json";  // file in the package
  std::string processor;                            // class name
  std::string resize;         // "", "exact", "shortest_edge", "number" (one, as the class understands it)
  std::vector<int64_t> size;  // exact: height, width; else the edge and, perhaps, the most of the longer one
  std::string resample;       // "", "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"
  std::vector<int64_t> crop;  // height, width around the middle; empty = none stated
  double rescale = 0;         // factor for bytes; 0 = none stated
  std::vector<double> mean;   // a channel; empty = none stated
  std::vector<double> std;

  bool operator==(const ImageSpec&) const = default;
};

// How the model is served (spec.serving). What a registration says goes before it.
struct ServingSpec {
  std::string isolation;   // "", "process", "unsafe-process", "none"
  std::string batching;    // "", "auto", "on", "off"
  uint32_t max_batch = 0;  // rows; 0 = the server's limit

  bool operator==(const ServingSpec&) const = default;
};
// kInvalidArgument that names the key and what it takes.
Status CheckServing(const ServingSpec& serving);
inline constexpr uint32_t kMaxServingBatch = 65536;

// How the executed file was made from the source files (spec.conversion).
struct Conversion {
  std::string converter;  // "mlos-native", "fallback-python", "fallback-container"
  std::string version;
  std::string architecture;
  std::string task;
  std::vector<PackageFile> sources;
  std::string graph_sha256;
  bool verified = false;            // it was executed once, with finite answers, before it was installed
  std::string quantization;         // "", "int8"
  double quantization_max_abs = 0;  // largest difference from the model before, over one execution
  double quantization_cosine = 0;   // smallest cosine of an output with the one before

  bool operator==(const Conversion&) const = default;
};

struct Requirements {
  double cpu_min_cores = 1;
  double cpu_recommended_cores = 1;
  double memory_min_gb = 0;
  double memory_recommended_gb = 0;
  double storage_min_gb = 0;

  bool operator==(const Requirements&) const = default;
};

struct Manifest {
  std::string api_version = "axon.mlos.io/v1";
  std::string kind = "Model";
  // metadata
  std::string namespace_;
  std::string name;
  std::string version;   // label asked for, e.g. "latest"
  std::string revision;  // commit, or "sha256-..." of the file list for local packages
  std::string description;
  std::string license;
  std::string homepage;
  std::string created;  // RFC 3339
  std::vector<std::string> tags;
  // spec
  std::string framework_name;
  std::string framework_version;
  std::string format_type;       // what was downloaded: safetensors, onnx, gguf, ...
  std::string execution_format;  // what is executed: onnx, gguf
  std::vector<PackageFile> files;
  std::vector<ExecutionFile> execution_files;
  std::vector<TensorSpec> inputs;  // read from the model file, never guessed
  std::vector<TensorSpec> outputs;
  std::optional<TextSpec> text;
  std::optional<ImageSpec> image;
  std::optional<ServingSpec> serving;
  std::optional<Conversion> conversion;
  Requirements requirements;
  // distribution
  std::string source_url;  // where it came from; no credentials
  std::string registry;    // "huggingface", "local", ...

  bool operator==(const Manifest&) const = default;
};

inline constexpr std::string_view kApiVersion = "axon.mlos.io/v1";
inline constexpr std::string_view kLegacyApiVersion = "v1";  // what the original wrote

// Parses and validates: kInvalidArgument with "line N: key: ". Unknown keys are left out, not refused. At
// most 4 MB, no anchors. With apiVersion "v1" a size of 0 and an empty sha256 count as unknown, and
// execution_files need not be in files.
Result<Manifest> ParseManifest(std::string_view yaml);

// Deterministic YAML; ParseManifest(WriteManifest(m)) gives m back when m is valid and every dim_names has
// one entry a dimension. Text that is not UTF-8 is repaired with U+FFFD.
std::string WriteManifest(const Manifest& manifest);

// The file's path comes first in the errors.
Result<Manifest> ReadManifest(const std::filesystem::path& file);

}  // namespace mlos::package
