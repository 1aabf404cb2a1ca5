// SPDX-License-Identifier: Apache-2.0
// ONNX models as bytes. Inside package/ only.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "package/format.h"

namespace mlos::package {

// OK when the bytes are a ModelProto as far as its top level shows: known fields of the right wire types that
// end with the file, an IR version, a graph, and operator sets. kDataLoss says what is missing.
Status CheckOnnxStructure(std::span<const std::byte> model);

// See InspectModelFile.
Result<ModelFileInfo> InspectOnnx(std::span<const std::byte> model);

}  // namespace mlos::package
