// SPDX-License-Identifier: Apache-2.0
// Request targets and Range headers of the mirror: nothing accepted can leave the served folder or the file.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hub/adapter.h"
#include "hub/mirror_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto target = mlos::hub::ParseMirrorTarget(text);
  if (target.ok() && target->kind != mlos::hub::MirrorTarget::Kind::kList) {
    if (!mlos::hub::IsSafePath(target->id) || !mlos::hub::IsSafePath(target->revision)) std::abort();
    if (!target->path.empty() && !mlos::hub::IsSafePath(target->path)) std::abort();
  }
  for (const uint64_t file_size : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, UINT64_MAX}) {
    const auto range = mlos::hub::ParseRangeHeader(text, file_size);
    if (!range.ok() || !range->has_value()) continue;
    const mlos::hub::ByteRange part = **range;
    if (part.length == 0 || part.begin >= file_size || part.length > file_size - part.begin) std::abort();
  }
  return 0;
}
