// SPDX-License-Identifier: Apache-2.0
// A pickle: references that are accepted point at nodes, and what is read stays within the limits.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "convert/torch/pickle.h"
#include "convert/torch/state_dict.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  size_t end = 0;
  const auto pickle = mlos::convert::Pickle::Read(std::as_bytes(std::span(data, size)), &end);
  if (!pickle.ok()) return 0;
  if (end > size || pickle->root() >= pickle->size()) std::abort();
  for (mlos::convert::PickleRef ref = 0; ref < pickle->size(); ++ref) {
    for (const mlos::convert::PickleRef item : pickle->at(ref).items) {
      if (item >= pickle->size()) std::abort();
    }
  }
  (void)mlos::convert::ReadStateDict(*pickle);
  return 0;
}
