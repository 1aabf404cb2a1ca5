// SPDX-License-Identifier: Apache-2.0
#include "package/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <unordered_set>

#include "package/path.h"

namespace mlos::package {
namespace {

constexpr size_t kMaxBytes = 4'000'000;
constexpr size_t kMaxDepth = 32;

struct Refused : std::exception {
  explicit Refused(Status s) : status(std::move(s)) {}
  Status status;
};

Status AtLine(int line, const std::string& what) {
  return InvalidArgument("line " + std::to_string(line) + ": " + what);
}

[[noreturn]] void Refuse(const YAML::Mark& mark, const std::string& what) {
  throw Refused(AtLine(mark.line + 1, what));
}

// Builds the tree from the parser's events, so that aliases are refused before anything is expanded.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode Take() && { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases are not allowed here");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Leaf(mark, "", anchor, YamlNode::Kind::kNull, "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Leaf(mark, tag, anchor, YamlNode::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A container that is being filled.
  struct Frame {
    YamlNode node;
    bool has_key = false;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  static void CheckDecorations(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) Refuse(mark, "anchors are not allowed here");
    if (!tag.empty() && tag != "?" && tag != "!")
      Refuse(mark, "tags are not allowed here ('" + Printable(tag) + "')");
  }

  void Leaf(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind,
            const std::string& value) {
    CheckDecorations(mark, tag, anchor);
    if (!frames_.empty() && frames_.back().node.kind == YamlNode::Kind::kMap && !frames_.back().has_key) {
      return TakeKey(mark, kind, value);
    }
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.quoted = tag == "!";
    node.scalar = value;
    Add(std::move(node));
  }

  void TakeKey(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& value) {
    if (kind != YamlNode::Kind::kScalar) Refuse(mark, "a key is missing");
    Frame& frame = frames_.back();
    if (!frame.keys.insert(value).second) Refuse(mark, "the key '" + Printable(value) + "' is there twice");
    frame.key = value;
    frame.has_key = true;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    CheckDecorations(mark, tag, anchor);
    if (!frames_.empty() && frames_.back().node.kind == YamlNode::Kind::kMap && !frames_.back().has_key) {
      Refuse(mark, "a key must be text");
    }
    if (frames_.size() >= kMaxDepth) Refuse(mark, "more than " + std::to_string(kMaxDepth) + " levels");
    Frame frame;
    frame.node.kind = kind;
    frame.node.line = mark.line + 1;
    frames_.push_back(std::move(frame));
  }

  void Close() {
    YamlNode node = std::move(frames_.back().node);
    frames_.pop_back();
    Add(std::move(node));
  }

  void Add(YamlNode node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == YamlNode::Kind::kMap) {
      frame.node.entries.push_back({std::move(frame.key), std::move(node)});
      frame.has_key = false;
    } else {
      frame.node.items.push_back(std::move(node));
    }
  }

  YamlNode root_;
  std::vector<Frame> frames_;
};

Status CheckText(std::string_view text) {
  if (text.size() > kMaxBytes) return AtLine(1, "the file is larger than 4 MB");
  const auto bad = std::find_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
  });
  if (bad != text.end()) {
    const auto line = 1 + std::count(text.begin(), bad, '\n');
    return AtLine(static_cast<int>(line), "control character " + Printable(std::string_view(&*bad, 1)));
  }
  if (!IsUtf8(text)) {
    // The first line that is not.
    int line = 1;
    for (size_t begin = 0; begin < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      if (!IsUtf8(text.substr(begin, end - begin))) break;
      begin = end + 1;
    }
    return AtLine(line, "not valid UTF-8");
  }
  return OkStatus();
}

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string_view KindName(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return "text or a number";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "unknown";
}

Result<YamlNode> ParseYaml(std::string_view text) {
  MLOS_RETURN_IF_ERROR(CheckText(text));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return YamlNode();
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) return AtLine(1, "more than one document in the file");
    return std::move(builder).Take();
  } catch (const Refused& refused) {
    return refused.status;
  } catch (const YAML::Exception& e) {
    return AtLine(e.mark.is_null() ? 1 : e.mark.line + 1, Printable(e.msg));
  } catch (const std::exception& e) {
    return AtLine(1, Printable(e.what()));
  }
}

}  // namespace mlos::package
