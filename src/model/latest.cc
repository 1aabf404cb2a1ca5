// SPDX-License-Identifier: Apache-2.0
#include "model/latest.h"

namespace mlos::model {

std::string_view NameOf(std::string_view id) { return id.substr(0, id.find('@')); }

std::string_view VersionOf(std::string_view id) {
  const size_t at = id.find('@');
  return at == std::string_view::npos ? std::string_view() : id.substr(at + 1);
}

bool MeansLatest(std::string_view id) {
  const size_t at = id.find('@');
  return at == std::string_view::npos || id.substr(at) == "@latest";
}

std::string_view LatestOf(std::string_view name, std::span<const VersionRow> versions,
                          std::string_view chosen) {
  const VersionRow* newest = nullptr;
  std::string_view literal;
  for (const VersionRow& row : versions) {
    if (NameOf(row.id) != name) continue;
    if (!chosen.empty() && row.id == chosen) return row.id;
    if (VersionOf(row.id) == "latest") literal = row.id;
    // Of two in the same nanosecond the greater name wins, so that the answer is always the same.
    if (newest == nullptr || row.registered_unix_ns > newest->registered_unix_ns ||
        (row.registered_unix_ns == newest->registered_unix_ns && row.id > newest->id)) {
      newest = &row;
    }
  }
  if (!literal.empty()) return literal;
  return newest == nullptr ? std::string_view() : newest->id;
}

}  // namespace mlos::model
