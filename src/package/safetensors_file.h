// SPDX-License-Identifier: Apache-2.0
// Safetensors files as bytes: is it one, and whole? (src/convert reads them for conversion.) Inside package/
// only.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "package/format.h"

namespace mlos::package {

// Checks the header: its length, its JSON, that each tensor has the bytes its shape needs, and that together
// they fill the file without overlaps and holes. kDataLoss when damaged or cut short. See InspectModelFile.
Result<ModelFileInfo> InspectSafetensors(std::span<const std::byte> file);

// The first bytes are a plausible header length and "{".
bool LooksLikeSafetensors(std::span<const std::byte> file);

}  // namespace mlos::package
