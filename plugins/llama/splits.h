// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gguf_header.h"
#include "status.h"

namespace mlos::llama {

// Checks the headers of the model at `path`: of that file or, when it is the first part of a model split over several
// files ("name-00001-of-00003.gguf"), of all parts in order.
Status ReadHeaders(const std::string& path, std::vector<GgufHeader>* headers);

}  // namespace mlos::llama
