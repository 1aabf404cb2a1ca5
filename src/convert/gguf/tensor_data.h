// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "convert/gguf/decoder.h"

namespace mlos::convert {

// The bytes of a tensor as the GGUF file has them: rows in llama.cpp's order, converted to `type`. A few rows at a time.
Status StreamTensor(const Checkpoint& checkpoint, const DecoderTensor& tensor, GgmlType type,
                    const ByteSink& sink);

}  // namespace mlos::convert
