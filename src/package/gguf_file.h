// SPDX-License-Identifier: Apache-2.0
// GGUF models as bytes. Inside package/ only.
//
//   file   = "GGUF" version:u32 tensors:u64 pairs:u64 *pair *tensor padding data      (all little-endian)
//   pair   = key:string type:u32 value       string = length:u64 bytes
//   tensor = name:string dims:u32 *size:u64 type:u32 offset:u64    (offset from the start of data, aligned)
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "package/format.h"

namespace mlos::package {

// Reads all metadata and checks that every tensor lies inside the file. kDataLoss when damaged or cut short,
// kUnimplemented for versions other than 2 and 3. See InspectModelFile.
Result<ModelFileInfo> InspectGguf(std::span<const std::byte> file);

}  // namespace mlos::package
