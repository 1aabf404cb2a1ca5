// SPDX-License-Identifier: Apache-2.0
// Request ids: the client's when it is sane, else one of ours.
#pragma once

#include <string>
#include <string_view>

namespace mlos::frontend {

// 1 to 128 of A-Z a-z 0-9 . _ : / + = @ -
bool IsSaneRequestId(std::string_view id);

// 16 hexadecimal digits: unique in this process, unlikely to meet another's. Thread-safe.
void NewRequestId(std::string* out);

}  // namespace mlos::frontend
