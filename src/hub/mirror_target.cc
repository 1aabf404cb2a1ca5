// SPDX-License-Identifier: Apache-2.0
#include "hub/mirror_target.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "hub/adapter.h"

namespace mlos::hub {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3 || HexValue(text[i + 1]) < 0 || HexValue(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
    i += 2;
  }
  return out;
}

// Decoded parts between slashes; nothing when one is unusable.
std::optional<std::vector<std::string>> Segments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    std::optional<std::string> part = PercentDecode(path.substr(0, slash));
    if (!part || !IsSafePath(*part)) return std::nullopt;
    out.push_back(*std::move(part));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return out;
}

std::string Join(const std::vector<std::string>& parts, size_t begin, size_t end) {
  std::string out;
  for (size_t i = begin; i < end; ++i) out += (i == begin ? "" : "/") + parts[i];
  return out;
}

bool QueryFlag(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with("=")) {
      const std::string_view value = pair.substr(name.size() + 1);
      return value == "1" || value == "true" || value == "True";
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

// A repository name must not reach hidden folders, nor contain what a revision folder is marked with.
bool IsRepositoryName(const std::string& id) {
  if (id.starts_with(".") || id.find("/.") != std::string::npos || id.find('@') != std::string::npos)
    return false;
  return std::count(id.begin(), id.end(), '/') <= 1;
}

Status Unknown() { return NotFound("no such address on this mirror"); }

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<MirrorTarget> ParseApi(const std::vector<std::string>& parts, std::string_view query) {
  MirrorTarget target;
  target.blobs = QueryFlag(query, "blobs");
  target.recursive = QueryFlag(query, "recursive");
  constexpr size_t kPrefix = 2;  // api, models
  if (parts.size() == kPrefix) {
    target.kind = MirrorTarget::Kind::kList;
    return target;
  }
  const auto is_verb = [&](size_t i) {
    return i < parts.size() && (parts[i] == "revision" || parts[i] == "tree");
  };
  const size_t verb = is_verb(kPrefix + 1) && parts.size() >= kPrefix + 3 ? kPrefix + 1 : kPrefix + 2;
  target.id = Join(parts, kPrefix, std::min(verb, parts.size()));
  if (!IsRepositoryName(target.id)) return Unknown();
  if (parts.size() <= verb) return target;
  if (!is_verb(verb) || parts.size() == verb + 1) return Unknown();
  target.revision = parts[verb + 1];
  target.path = Join(parts, verb + 2, parts.size());
  if (parts[verb] == "tree") target.kind = MirrorTarget::Kind::kTree;
  if (parts[verb] == "revision" && !target.path.empty()) return Unknown();
  return target;
}

}  // namespace

Result<MirrorTarget> ParseMirrorTarget(std::string_view text) {
  if (!text.starts_with("/")) return Unknown();
  text.remove_prefix(1);
  const size_t question = std::min(text.find('?'), text.size());
  const std::string_view query = text.substr(std::min(question + 1, text.size()));
  const std::optional<std::vector<std::string>> parts = Segments(text.substr(0, question));
  if (!parts || parts->empty()) return Unknown();
  if (parts->size() >= 2 && (*parts)[0] == "api" && (*parts)[1] == "models") return ParseApi(*parts, query);
  for (const size_t verb : {size_t{1}, size_t{2}}) {
    if (parts->size() < verb + 3 || (*parts)[verb] != "resolve") continue;
    MirrorTarget target;
    target.kind = MirrorTarget::Kind::kResolve;
    target.id = Join(*parts, 0, verb);
    target.revision = (*parts)[verb + 1];
    target.path = Join(*parts, verb + 2, parts->size());
    if (!IsRepositoryName(target.id) || !IsSafePath(target.path)) return Unknown();
    return target;
  }
  return Unknown();
}

Result<std::optional<ByteRange>> ParseRangeHeader(std::string_view header, uint64_t size_bytes) {
  const std::optional<ByteRange> ignore;
  if (!header.starts_with("bytes=")) return ignore;
  header.remove_prefix(6);
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return ignore;
  const std::string_view first = header.substr(0, dash);
  const std::string_view last = header.substr(dash + 1);
  const Status unsatisfiable =
      InvalidArgument("range not satisfiable: the file has " + std::to_string(size_bytes) + " bytes");
  if (first.empty()) {
    const std::optional<uint64_t> suffix = ParseNumber(last);
    if (!suffix) return ignore;
    if (*suffix == 0 || size_bytes == 0) return unsatisfiable;
    const uint64_t length = std::min(*suffix, size_bytes);
    return std::optional(ByteRange{size_bytes - length, length});
  }
  const std::optional<uint64_t> begin = ParseNumber(first);
  const std::optional<uint64_t> end = last.empty() ? std::optional<uint64_t>(UINT64_MAX) : ParseNumber(last);
  if (!begin || !end || *end < *begin) return ignore;
  if (*begin >= size_bytes) return unsatisfiable;
  return std::optional(ByteRange{*begin, std::min(*end, size_bytes - 1) - *begin + 1});
}

}  // namespace mlos::hub
