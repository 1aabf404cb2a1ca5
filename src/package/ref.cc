// SPDX-License-Identifier: Apache-2.0
#include "package/ref.h"

#include <algorithm>

#include "package/path.h"

namespace mlos::package {
namespace {

constexpr size_t kMaxSegment = 96;
constexpr size_t kMaxSegments = 16;
constexpr size_t kMaxRef = 255;

bool IsAllowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

// Checks the segments of text[begin, end); positions in messages count from the start of `text`.
class SegmentChecker {
 public:
  explicit SegmentChecker(std::string_view text) : text_(text) {}

  Status Check(size_t begin, size_t end) const {
    size_t segments = 0;
    for (size_t start = begin; start <= end;) {
      if (++segments > kMaxSegments) {
        return Wrong(start, "more than " + std::to_string(kMaxSegments) + " names with '/' between them");
      }
      const size_t stop = std::min(text_.find('/', start), end);
      MLOS_RETURN_IF_ERROR(CheckOne(start, stop));
      start = stop + 1;
    }
    return OkStatus();
  }

  Status Wrong(size_t index, const std::string& what) const {
    return InvalidArgument("model reference '" + Printable(text_) + "', character " +
                           std::to_string(index + 1) + ": " + what +
                           "; wanted is namespace/name[@revision], for example hf/bert-base-uncased@latest");
  }

 private:
  Status CheckOne(size_t begin, size_t end) const {
    const std::string_view segment = text_.substr(begin, end - begin);
    for (size_t i = 0; i < segment.size(); ++i) {
      if (!IsAllowed(segment[i])) {
        return Wrong(begin + i, "'" + Printable(CharacterAt(begin + i)) +
                                    "' is not allowed, only letters, digits, '.', '_', '-'");
      }
    }
    if (segment.empty()) return Wrong(begin, "there is nothing where a name is wanted");
    if (segment == "." || segment == "..")
      return Wrong(begin, "'" + std::string(segment) + "' is not a name");
    if (segment.front() == '-') return Wrong(begin, "a name does not start with '-'");
    if (segment.size() > kMaxSegment)
      return Wrong(begin, "a name has at most " + std::to_string(kMaxSegment) + " characters");
    return OkStatus();
  }

  // The whole character, also when it takes several bytes.
  std::string_view CharacterAt(size_t index) const {
    size_t size = 1;
    while (index + size < text_.size() && size < 4 && (text_[index + size] & 0xC0) == 0x80) ++size;
    return text_.substr(index, size);
  }

  std::string_view text_;
};

}  // namespace

std::string ModelRef::ToString() const { return namespace_ + "/" + name + "@" + revision; }

Result<ModelRef> ParseModelRef(std::string_view text) {
  const SegmentChecker checker(text);
  if (text.empty()) return checker.Wrong(0, "it is empty");
  const size_t at = text.find('@');
  const size_t model_end = std::min(at, text.size());
  MLOS_RETURN_IF_ERROR(checker.Check(0, model_end));
  const size_t slash = text.substr(0, model_end).find('/');
  if (slash == std::string_view::npos)
    return checker.Wrong(model_end, "'/' and a name are missing after the namespace");
  ModelRef ref;
  ref.namespace_ = text.substr(0, slash);
  ref.name = text.substr(slash + 1, model_end - slash - 1);
  if (at != std::string_view::npos) {
    MLOS_RETURN_IF_ERROR(checker.Check(at + 1, text.size()));
    ref.revision = text.substr(at + 1);
    if (ref.revision.size() > kMaxSegment) {
      return checker.Wrong(at + 1, "a revision has at most " + std::to_string(kMaxSegment) + " characters");
    }
  }
  if (ref.ToString().size() > kMaxRef)
    return checker.Wrong(kMaxRef, "a reference has at most " + std::to_string(kMaxRef) + " characters");
  return ref;
}

}  // namespace mlos::package
