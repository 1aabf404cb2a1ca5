// SPDX-License-Identifier: Apache-2.0
// Handing an installed package to mlos-core.
#pragma once

#include <string>

#include "base/status.h"
#include "client/core_client.h"
#include "package/store.h"

namespace mlos::axon {

// mlos-core loads the model, or answers why not.
Result<client::ModelInfo> RegisterPackage(const client::CoreClient& core,
                                          const package::InstalledPackage& package);

// A request body the model accepts, as JSON; empty when its inputs are too big to write down.
std::string ExampleBody(const package::Manifest& manifest);

// The curl line that asks the model, ready for a shell.
std::string CurlLine(const std::string& endpoint, const package::InstalledPackage& package);

}  // namespace mlos::axon
