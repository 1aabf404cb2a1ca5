// SPDX-License-Identifier: Apache-2.0
// The fall-back for models that are not converted natively: other people's converters (optimum, tf2onnx), in a Python environment
// or a container, and only when the user asks for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::axon {

struct FallbackRequest {
  std::string kind;              // "python", "container"
  std::filesystem::path source;  // folder or file
  std::filesystem::path out;     // folder, made when missing
  std::string task;              // "" = the converter decides
  bool may_install = false;      // the Python environment may be made: some gigabytes are downloaded
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const std::string&)> note;  // what is going on, for people
};

// Which environment converts it, a lock file of packaging/converter: "tensorflow" (SavedModel, Keras, TFLite), "transformers".
std::string ConverterFor(const std::filesystem::path& source);

// Runs the converter to its end. kFailedPrecondition: what is missing and how to get it; otherwise what the converter said last.
Result<std::vector<std::string>> RunFallback(const FallbackRequest& request);  // the .onnx files in `out`

// The command line for podman or docker. The model is mounted read-only, nothing else of this machine but `out`; no network, no
// capabilities, no root. `image` names what is run by digest ("sha256:...", "name@sha256:..."): kInvalidArgument otherwise.
Result<std::vector<std::string>> ContainerArguments(const FallbackRequest& request,
                                                    const std::string& engine_name, const std::string& image,
                                                    uint32_t user, uint32_t group);

}  // namespace mlos::axon
