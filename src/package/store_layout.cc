// SPDX-License-Identifier: Apache-2.0
#include "package/store_layout.h"

#include "package/digest.h"

namespace mlos::package {
namespace {

std::string EncodeSlashes(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '/' ? "%2F" : std::string(1, c);
  return out;
}

}  // namespace

std::filesystem::path StoreLayout::OldPackage(const ModelRef& ref) const {
  std::filesystem::path path = Package(ref);
  path += kOldSuffix;
  return path;
}

std::string StoreLayout::Key(const ModelRef& ref) {
  const std::string text = ref.ToString();
  // The readable part may be cut and is not unique; the digest is.
  return EncodeSlashes(text).substr(0, 100) + "-" + Sha256Hex(text).substr(0, 32);
}

std::string StoreLayout::LabelFolder(const std::string& label) { return "@" + EncodeSlashes(label); }

std::optional<std::string> StoreLayout::LabelOf(std::string_view folder) {
  if (!folder.starts_with('@')) return std::nullopt;
  std::string label(folder.substr(1));
  for (size_t at = 0; (at = label.find("%2F", at)) != std::string::npos;) label.replace(at, 3, "/");
  if (label.empty() || label.find('%') != std::string::npos) return std::nullopt;
  return label;
}

}  // namespace mlos::package
