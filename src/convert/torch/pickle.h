// SPDX-License-Identifier: Apache-2.0
// Reads a pickle as data. Python's pickle is a program for a stack machine that may call anything; this reader knows the
// instructions that checkpoints consist of, keeps every "call this" as an inert node, and looks up, imports and calls nothing.
//
//   pickle = PROTO instruction* STOP
//
// What is refused: instructions that checkpoints do not use; globals outside the list (pickle_globals.h): those that could do
// harm as an attack (kPermissionDenied, named), others as unknown (kUnimplemented, named); programs that underflow, repeat
// or reach beyond the limits below. Time and memory are linear in the bytes read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::convert {

inline constexpr size_t kMaxPickleBytes = 256U << 20U;
inline constexpr size_t kMaxPickleNodes = 4'000'000;
inline constexpr size_t kMaxPickleDepth = 1000;  // open marks
inline constexpr size_t kMaxPickleMemo = 4'000'000;
inline constexpr size_t kMaxPickleStack = 4'000'000;

// Index of a node; what is memoised and used twice is one node.
using PickleRef = uint32_t;
inline constexpr PickleRef kNoPickle = UINT32_MAX;

struct PickleNode {
  enum class Kind : uint8_t {
    kNone,
    kBool,        // integer
    kInt,         // integer
    kBigInt,      // text: its bytes, little-endian two's complement
    kFloat,       // number
    kText,        // text
    kBytes,       // text
    kTuple,       // items
    kList,        // items
    kSet,         // items
    kDict,        // items: key, value, key, value ...; also OrderedDict and its like
    kGlobal,      // text: "module.name"
    kCall,        // items: callable (kGlobal), arguments (kTuple)
    kObject,      // items: class (kGlobal), arguments (kTuple)
    kPersistent,  // items: id
  };
  Kind kind = Kind::kNone;
  PickleRef state = kNoPickle;  // what BUILD would have set
  union {
    int64_t integer = 0;
    double number;
  };
  std::string_view text;  // borrows the pickle's bytes, or the Pickle's own memory
  std::vector<PickleRef> items;
};

// Movable; nodes may form cycles, so walk them with a limit.
class Pickle {
 public:
  using Kind = PickleNode::Kind;

  // Reads one pickle from the start of `bytes`, which must outlive the result. `*end`: bytes read.
  static Result<Pickle> Read(std::span<const std::byte> bytes, size_t* end);

  PickleRef root() const { return root_; }
  const PickleNode& at(PickleRef ref) const { return nodes_[ref]; }
  size_t size() const { return nodes_.size(); }

  // The items of a node of that kind; empty for any other.
  std::span<const PickleRef> Items(PickleRef ref, Kind kind) const;
  // True when the node is the global of that name.
  bool IsGlobal(PickleRef ref, std::string_view name) const;
  // The value of a text key in a dict; kNoPickle when there is none.
  PickleRef Lookup(PickleRef dict, std::string_view key) const;

 private:
  friend class PickleMachine;
  std::vector<PickleNode> nodes_;
  std::deque<std::string> names_;
  PickleRef root_ = kNoPickle;
};

}  // namespace mlos::convert
