// SPDX-License-Identifier: Apache-2.0
// What a request to the mirror asks for, read from its target and its Range header. Pure functions.
//
//   target   = "/api/models" [ "?" query ]
//            / "/api/models/" id [ "/revision/" rev ] [ "?" query ]
//            / "/api/models/" id "/tree/" rev [ "/" path ] [ "?" query ]
//            / "/" id "/resolve/" rev "/" path [ "?" query ]
//   id       = segment [ "/" segment ]
// Each part may be percent-encoded; a "/" inside rev must be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::hub {

struct MirrorTarget {
  enum class Kind { kList, kInfo, kTree, kResolve };
  Kind kind = Kind::kInfo;
  std::string id;
  std::string revision = "main";
  std::string path;        // kResolve: the file; kTree: the folder, may be empty
  bool blobs = false;      // ?blobs=true
  bool recursive = false;  // ?recursive=true
};

// kNotFound for anything else, also for paths with "..", control characters or bad percent signs.
Result<MirrorTarget> ParseMirrorTarget(std::string_view target);

struct ByteRange {
  uint64_t begin = 0;
  uint64_t length = 0;
};
// Nothing: no range, or one that is to be ignored (malformed, several ranges). An error: not satisfiable (416).
Result<std::optional<ByteRange>> ParseRangeHeader(std::string_view header, uint64_t size_bytes);

}  // namespace mlos::hub
