// SPDX-License-Identifier: Apache-2.0
// An installed package as JSON, the same in every listing.
#pragma once

#include "base/json_writer.h"
#include "package/store.h"

namespace mlos::axon {

// One object: ref, namespace, name, revision, commit, format, size_bytes, path, created, and problem when it is damaged.
void WritePackage(const package::InstalledPackage& package, JsonWriter* json);

// The same with the whole manifest: files, inputs, outputs, text, conversion, license, source.
void WritePackageDetails(const package::InstalledPackage& package, JsonWriter* json);

// [{"name","datatype","shape","dim_names"?,"optional"}]
void WriteTensorSpecs(const std::vector<TensorSpec>& specs, JsonWriter* json);

}  // namespace mlos::axon
