// SPDX-License-Identifier: Apache-2.0
// From downloaded files to something that can be executed: what they are, conversion, inputs and outputs, the manifest.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "convert/convert.h"
#include "hub/adapter.h"
#include "hub/select.h"
#include "package/manifest.h"
#include "package/ref.h"
#include "package/store.h"

namespace mlos::axon {

inline constexpr char kNativeConverter[] = "mlos-native";

// Names of files that the ONNX model `path` keeps its weights in and that `install` does not hold; relative to the package.
Result<std::vector<std::string>> MissingExternalFiles(const package::Install& install,
                                                      const std::string& path);

// True for what is not executed as it comes but converted: "safetensors", "pytorch".
bool IsConverted(const std::string& format);
// kUnimplemented when config.json names an architecture that cannot be converted: to be asked before the weights come. PyTorch
// checkpoints may come without config.json.
Status CheckConvertible(const package::Install& install, const std::string& format);

struct BuiltPackage {
  package::Manifest manifest;
  std::vector<std::string> notes;  // for people: what was converted, what is left out and why
  uint32_t max_length = 0;         // tokens, of a converted model; 0 = no limit known
};

// The conversion as the manifest records it: converter, its version, digests of the sources and of the first graph.
package::Conversion ConversionRecord(const convert::ConvertResult& converted,
                                     const std::vector<package::PackageFile>& files,
                                     const std::string& graph_sha256);

// Checks that the weights are what their names say, converts SafeTensors and PyTorch checkpoints (adding files to `install`), reads the executed
// file's inputs and outputs, and fills the manifest. `quantize`: "" or "int8". kDataLoss for damaged or mislabelled files, kUnimplemented for what
// cannot be converted.
Result<BuiltPackage> BuildPackage(const hub::Repository& repository, const hub::Selection& selection,
                                  const package::ModelRef& ref, package::Install* install,
                                  const std::string& quantize);

// The graph of an int8 package as it would be without, for as long as the two are compared.
inline constexpr char kReferenceGraph[] = "reference.onnx";
Status AddReference(package::Install* install);
Status RemoveReference(package::Install* install);

}  // namespace mlos::axon
