// SPDX-License-Identifier: Apache-2.0
#include "package/path.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdio>

namespace mlos::package {
namespace {

constexpr size_t kMaxPathBytes = 1024;
constexpr size_t kMaxPartBytes = 255;
constexpr size_t kMaxParts = 32;

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string WhatIsWrong(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > kMaxPathBytes) return "is longer than " + std::to_string(kMaxPathBytes) + " bytes";
  if (!IsUtf8(path)) return "is not valid UTF-8";
  if (std::any_of(path.begin(), path.end(), IsControl)) return "holds a control character";
  if (path.find('\\') != std::string_view::npos) return "holds a backslash";
  if (path.front() == '/') return "is absolute; paths are relative to the package";
  size_t parts = 0;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty()) return "has an empty part";
    if (part == "." || part == "..") return "has a part '" + std::string(part) + "'";
    if (part.size() > kMaxPartBytes)
      return "has a part longer than " + std::to_string(kMaxPartBytes) + " bytes";
    if (++parts > kMaxParts) return "has more than " + std::to_string(kMaxParts) + " parts";
    begin = end + 1;
  }
  if (path == kManifestName) return "is the manifest itself";
  return "";
}

}  // namespace

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string Printable(std::string_view text) {
  constexpr size_t kMaxBytes = 200;
  const bool utf8 = IsUtf8(text);
  std::string out;
  for (const char c : text.substr(0, kMaxBytes)) {
    if (IsControl(c) || (!utf8 && static_cast<unsigned char>(c) >= 0x80)) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += hex;
    } else {
      out += c;
    }
  }
  if (text.size() > kMaxBytes) {
    // Not in the middle of a character.
    while (!out.empty() && !IsUtf8(out)) out.pop_back();
    out += "...";
  }
  return out;
}

Status CheckPackagePath(std::string_view path) {
  const std::string wrong = WhatIsWrong(path);
  if (wrong.empty()) return OkStatus();
  return InvalidArgument("path '" + Printable(path) + "' " + wrong);
}

Status CheckPathsFitTogether(std::vector<std::string> paths) {
  // With '/' sorted before every other character a folder's files follow directly on a file of the folder's
  // name.
  std::sort(paths.begin(), paths.end(), [](const std::string& a, const std::string& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
      return (x == '/' ? 0 : static_cast<unsigned char>(x)) < (y == '/' ? 0 : static_cast<unsigned char>(y));
    });
  });
  for (size_t i = 1; i < paths.size(); ++i) {
    const std::string& a = paths[i - 1];
    const std::string& b = paths[i];
    if (a == b) return InvalidArgument("path '" + Printable(a) + "' is there twice");
    if (b.starts_with(a) && b[a.size()] == '/') {
      return InvalidArgument("path '" + Printable(a) + "' is a file and, for '" + Printable(b) +
                             "', a folder");
    }
  }
  return OkStatus();
}

}  // namespace mlos::package
