// SPDX-License-Identifier: Apache-2.0
// Which files of a repository an install takes: the weights of one format that can be executed, in one variant, and the
// small files that go with them. A pure function of the file list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "hub/adapter.h"

namespace mlos::hub {

struct SelectOptions {
  std::string format;                // "": the first of gguf, onnx, safetensors, pytorch there is
  std::string file;                  // this weight file, by its path or its last part
  std::string quant;                 // GGUF: "q4_k_m", "q8_0", "f16"; "": by preference, see kQuantPreference
  std::vector<std::string> include;  // globs: exactly the files that match, and nothing else
  std::vector<std::string> exclude;  // globs: as if these files were not there
  bool tensorflow = false;           // a SavedModel, Keras or TFLite model will do when there is nothing else
};

struct Selection {
  std::vector<RemoteFile> files;  // sorted by path
  std::string format;             // "onnx", "gguf", "safetensors", "pytorch", "tensorflow"
  std::vector<std::string>
      weights;  // the file to execute or convert first; more for shards and external data
  uint64_t total_bytes = 0;
  std::string reason;  // for people: why this variant, when there was a choice
};

// kNotFound or kUnimplemented with what the repository has instead.
Result<Selection> SelectFiles(const std::vector<RemoteFile>& files, const SelectOptions& options);

// "q4_k_m" from "model-Q4_K_M.gguf" or "model.q4_k_m-00001-of-00003.gguf"; "" when the name has none.
std::string QuantOfFileName(std::string_view path);

// Shell pattern: "*" and "?" and "[...]"; "*" matches "/" too, as Hugging Face's --include does.
bool GlobMatches(const std::string& pattern, const std::string& path);

}  // namespace mlos::hub
