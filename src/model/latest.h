// SPDX-License-Identifier: Apache-2.0
// Which version a model id without one means. A pure function of what is registered.
//
// "ns/name" and "ns/name@latest" mean, in this order: the version that was chosen as latest; the registration whose version
// is literally "latest"; the one that was registered last.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

namespace mlos::model {

// "ns/name@v1" -> "ns/name"; an id without version stays as it is.
std::string_view NameOf(std::string_view id);
// "ns/name@v1" -> "v1"; "" without one.
std::string_view VersionOf(std::string_view id);
// True for "ns/name" and "ns/name@latest".
bool MeansLatest(std::string_view id);

struct VersionRow {
  std::string_view id;
  int64_t registered_unix_ns = 0;
};
// The id that "latest" of `name` means among `versions` (all of this name); "" when there are none. `chosen` may be empty, and
// is ignored when it is not among them.
std::string_view LatestOf(std::string_view name, std::span<const VersionRow> versions,
                          std::string_view chosen);

}  // namespace mlos::model
