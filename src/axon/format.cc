// SPDX-License-Identifier: Apache-2.0
#include "axon/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mlos::axon {

std::string Seconds(double seconds) {
  char text[64];
  const auto whole = static_cast<uint64_t>(std::llround(std::max(seconds, 0.0)));
  if (seconds < 9.95) {
    std::snprintf(text, sizeof(text), "%.1f s", std::max(seconds, 0.0));
  } else if (whole < 60) {
    std::snprintf(text, sizeof(text), "%u s", static_cast<unsigned>(whole));
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%u min %u s", static_cast<unsigned>(whole / 60),
                  static_cast<unsigned>(whole % 60));
  } else {
    std::snprintf(text, sizeof(text), "%llu h %u min", static_cast<unsigned long long>(whole / 3600),
                  static_cast<unsigned>(whole / 60 % 60));
  }
  return text;
}

std::string Plural(uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string ShortCommit(const std::string& revision) {
  const size_t begin = revision.starts_with("sha256-") ? 7 : 0;
  return revision.substr(begin, 12);
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string Plain(std::string_view text) {
  std::string out(text);
  std::replace_if(out.begin(), out.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  return out;
}

std::string ShellQuote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace mlos::axon
