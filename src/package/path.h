// SPDX-License-Identifier: Apache-2.0
// Names of files inside a package.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::package {

inline constexpr std::string_view kManifestName = "manifest.yaml";

// A relative path that stays inside the package on every system: valid UTF-8 without control characters and
// backslashes, no empty, "." or ".." part, at most 255 bytes a part, 1024 in all and 32 parts, and not the
// manifest itself. kInvalidArgument says what is wrong.
Status CheckPackagePath(std::string_view path);

// OK when the paths can be files of one folder together: no duplicates, no file that is another's folder.
Status CheckPathsFitTogether(std::vector<std::string> paths);

// For messages: control characters and what is no UTF-8 as \xNN, at most 200 bytes.
std::string Printable(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace mlos::package
