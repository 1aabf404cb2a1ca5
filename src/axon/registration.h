// SPDX-License-Identifier: Apache-2.0
// Handing an installed package to mlos-core.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "client/core_client.h"
#include "package/store.h"

namespace mlos::axon {

// What mlos-core is told of a package: its model, or, for one of several graphs, each of them under a name of its own.
struct Served {
  std::string id;    // "hf/t5-small@latest"; of a graph "hf/t5-small/encoder_model@latest"
  std::string path;  // the package's folder, or the graph's file
  std::string type;  // of the execution file
};
std::vector<Served> ServedParts(const package::InstalledPackage& package);

// mlos-core loads the part, or answers why not. `serving` goes before what the manifest says.
Result<client::ModelInfo> RegisterPart(const client::CoreClient& core,
                                       const package::InstalledPackage& package, const Served& part,
                                       const package::ServingSpec& serving = {});
// The same for a package whose model is one file; kUnimplemented for one of several graphs, naming them.
Result<client::ModelInfo> RegisterPackage(const client::CoreClient& core,
                                          const package::InstalledPackage& package);

// A request body the model accepts, as JSON; empty when its inputs are too big to write down.
std::string ExampleBody(const package::Manifest& manifest);

// The curl line that asks the model served as `id`, ready for a shell.
std::string CurlLine(const std::string& endpoint, const package::InstalledPackage& package,
                     const std::string& id);

}  // namespace mlos::axon
