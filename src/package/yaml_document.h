// SPDX-License-Identifier: Apache-2.0
// One YAML document as a tree whose nodes know their lines. Inside package/ only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::package {

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  int line = 1;
  bool quoted = false;          // kScalar: written with quotes or as a block
  std::string scalar;           // kScalar
  std::vector<YamlNode> items;  // kSequence
  std::vector<Entry> entries;   // kMap, in the file's order

  // Null when this is no map or has no such key.
  const YamlNode* Find(std::string_view key) const;
};

struct YamlNode::Entry {
  std::string key;
  YamlNode value;
};

// "text", "a list", ...: for messages.
std::string_view KindName(YamlNode::Kind kind);

// kInvalidArgument, with "line N: ", for anything but one well-formed document of UTF-8 text of at most 4 MB,
// without anchors, aliases, tags and duplicate keys, at most 32 levels deep. An empty document is a null
// node.
Result<YamlNode> ParseYaml(std::string_view text);

}  // namespace mlos::package
