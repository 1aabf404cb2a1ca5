// SPDX-License-Identifier: Apache-2.0
// The state file of a download: what is accepted is consistent and is written back as it was.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "hub/download.h"
#include "hub/partial_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto state = mlos::hub::ParsePartialState(bytes);
  if (state.ok()) {
    uint64_t total = 0;
    for (const uint64_t done : state->done) total += done;
    if (total > state->size_bytes) std::abort();
    if (mlos::hub::SerializePartialState(*state) != bytes) std::abort();
  }
  uint64_t begin = 0;
  uint64_t all = 0;
  (void)mlos::hub::ParseContentRange(std::string(bytes), &begin, &all);
  return 0;
}
