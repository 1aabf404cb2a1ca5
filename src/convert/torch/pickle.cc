// SPDX-License-Identifier: Apache-2.0
#include "convert/torch/pickle.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "convert/torch/bytes.h"
#include "convert/torch/pickle_globals.h"

namespace mlos::convert {
namespace {

using Kind = PickleNode::Kind;

constexpr size_t kMaxGlobalName = 1024;

Status Damaged(const std::string& what) { return DataLoss("pickle: " + what); }

// For messages: a name that may hold anything.
std::string Shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 200)) out += c > 0x20 && c < 0x7F ? c : '?';
  return out;
}

bool IsDictClass(std::string_view name) {
  return name == "collections.OrderedDict" || name == "collections.defaultdict" ||
         name == "collections.Counter" || name == "builtins.dict" || name == "__builtin__.dict";
}

bool IsSetClass(std::string_view name) {
  return name == "builtins.set" || name == "__builtin__.set" || name == "builtins.frozenset" ||
         name == "__builtin__.frozenset";
}

}  // namespace

// The stack machine. Each instruction is a method; the first error ends the run.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, Pickle* out)
      : reader_(bytes.first(std::min(bytes.size(), kMaxPickleBytes))),
        nodes_(out->nodes_),
        names_(out->names_) {}

  Status Run(PickleRef* root, size_t* end) {
    if (reader_.Read<uint8_t>() != 0x80)
      return Damaged("does not begin with a protocol number (protocol 0 or 1?)");
    const auto protocol = reader_.Read<uint8_t>();
    if (protocol < 2 || protocol > 5)
      return Damaged("protocol " + std::to_string(protocol) + " is not known");
    while (!stopped_) {
      const size_t at = reader_.position();
      const auto opcode = reader_.Read<uint8_t>();
      if (!reader_.failed()) MLOS_RETURN_IF_ERROR(Step(static_cast<char>(opcode), at));
      if (reader_.failed()) return Damaged("ends in the middle (cut short?)");
      if (nodes_.size() > kMaxPickleNodes || stack_.size() > kMaxPickleStack)
        return TooLarge("pickle: more than " + std::to_string(kMaxPickleNodes) + " values");
    }
    if (stack_.size() != 1 || !marks_.empty())
      return Damaged("leaves " + std::to_string(stack_.size()) + " values");
    *root = stack_.front();
    *end = reader_.position();
    return OkStatus();
  }

 private:
  Status Step(char opcode, size_t at);
  Status Literal(char opcode, bool* handled);
  Status Container(char opcode, bool* handled);
  Status Memo(char opcode, bool* handled);
  Status Object(char opcode, bool* handled);

  PickleRef Add(Kind kind) {
    nodes_.emplace_back().kind = kind;
    return static_cast<PickleRef>(nodes_.size() - 1);
  }
  void Push(PickleRef ref) { stack_.push_back(ref); }
  void PushInt(Kind kind, int64_t value) {
    const PickleRef ref = Add(kind);
    nodes_[ref].integer = value;
    Push(ref);
  }
  void PushText(Kind kind, std::string_view text) {
    const PickleRef ref = Add(kind);
    nodes_[ref].text = text;
    Push(ref);
  }
  // What the instructions of the current frame may take.
  size_t Available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  Result<PickleRef> Pop() {
    if (Available() == 0) return Damaged("takes a value that is not there");
    const PickleRef ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  Result<PickleRef> Top(Kind kind) {
    if (Available() == 0 || nodes_[stack_.back()].kind != kind)
      return Damaged("adds items to what cannot have them");
    return stack_.back();
  }
  // Everything since the last mark, which goes too.
  Result<std::vector<PickleRef>> PopMark() {
    if (marks_.empty()) return Damaged("closes a mark that is not there");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }
  Status PushTuple(size_t count) {
    if (Available() < count) return Damaged("takes a value that is not there");
    const PickleRef ref = Add(Kind::kTuple);
    nodes_[ref].items.assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    Push(ref);
    return OkStatus();
  }
  Status PushItems(Kind kind) {
    MLOS_ASSIGN_OR_RETURN(std::vector<PickleRef> items, PopMark());
    if (kind == Kind::kDict && items.size() % 2 != 0) return Damaged("a key without a value");
    const PickleRef ref = Add(kind);
    nodes_[ref].items = std::move(items);
    Push(ref);
    return OkStatus();
  }
  Status Extend(Kind kind, bool marked, size_t count) {
    std::vector<PickleRef> items;
    if (marked) {
      MLOS_ASSIGN_OR_RETURN(items, PopMark());
    } else {
      MLOS_RETURN_IF_ERROR(PushTuple(count));
      items = nodes_[stack_.back()].items;
      stack_.pop_back();
    }
    if (kind == Kind::kDict && items.size() % 2 != 0) return Damaged("a key without a value");
    MLOS_ASSIGN_OR_RETURN(const PickleRef target, Top(kind));
    nodes_[target].items.insert(nodes_[target].items.end(), items.begin(), items.end());
    return OkStatus();
  }
  Status PushGlobal(std::string_view module, std::string_view name);
  Status Call(Kind kind);
  Status CallDict(PickleRef arguments);
  Status Put(uint64_t index) {
    if (index >= kMaxPickleMemo) return TooLarge("pickle: memo index " + std::to_string(index));
    if (Available() == 0) return Damaged("remembers a value that is not there");
    if (memo_.size() <= index) memo_.resize(static_cast<size_t>(index) + 1, kNoPickle);
    memo_[static_cast<size_t>(index)] = stack_.back();
    return OkStatus();
  }
  Status Get(uint64_t index) {
    if (index >= memo_.size() || memo_[static_cast<size_t>(index)] == kNoPickle)
      return Damaged("recalls a value that it did not remember");
    Push(memo_[static_cast<size_t>(index)]);
    return OkStatus();
  }

  ByteReader reader_;
  std::vector<PickleNode>& nodes_;
  std::deque<std::string>& names_;
  std::map<std::string, PickleRef> globals_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;
  std::vector<PickleRef> memo_;
  size_t copied_pairs_ = 0;  // one list of pairs may be given many times
  bool stopped_ = false;
};

Status PickleMachine::Step(char opcode, size_t at) {
  bool handled = true;
  MLOS_RETURN_IF_ERROR(Literal(opcode, &handled));
  if (!handled) MLOS_RETURN_IF_ERROR(Container(opcode, &handled));
  if (!handled) MLOS_RETURN_IF_ERROR(Memo(opcode, &handled));
  if (!handled) MLOS_RETURN_IF_ERROR(Object(opcode, &handled));
  if (handled) return OkStatus();
  constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<uint8_t>(opcode);
  return Unimplemented(std::string("pickle: instruction 0x") + kHex[byte >> 4U] + kHex[byte & 15U] +
                       " at byte " + std::to_string(at) + " is none that checkpoints use");
}

Status PickleMachine::Literal(char opcode, bool* handled) {
  switch (opcode) {
    case 'N':
      Push(Add(Kind::kNone));
      return OkStatus();
    case '\x88':
    case '\x89':
      PushInt(Kind::kBool, opcode == '\x88' ? 1 : 0);
      return OkStatus();
    case 'J':
      PushInt(Kind::kInt, reader_.Read<int32_t>());
      return OkStatus();
    case 'K':
      PushInt(Kind::kInt, reader_.Read<uint8_t>());
      return OkStatus();
    case 'M':
      PushInt(Kind::kInt, reader_.Read<uint16_t>());
      return OkStatus();
    case '\x8a': {  // LONG1: little-endian two's complement
      const std::string_view text = reader_.TakeText(reader_.Read<uint8_t>());
      if (text.size() > 8) {
        PushText(Kind::kBigInt, text);
        return OkStatus();
      }
      uint64_t value = !text.empty() && (static_cast<uint8_t>(text.back()) & 0x80U) != 0 ? ~uint64_t{0} : 0;
      for (size_t i = text.size(); i-- > 0;) value = value << 8U | static_cast<uint8_t>(text[i]);
      PushInt(Kind::kInt, static_cast<int64_t>(value));
      return OkStatus();
    }
    case 'G': {  // big-endian double
      const PickleRef ref = Add(Kind::kFloat);
      nodes_[ref].number = std::bit_cast<double>(__builtin_bswap64(reader_.Read<uint64_t>()));
      Push(ref);
      return OkStatus();
    }
    case 'X':
    case 'T':
      PushText(Kind::kText, reader_.TakeText(reader_.Read<uint32_t>()));
      return OkStatus();
    case '\x8c':
    case 'U':
      PushText(Kind::kText, reader_.TakeText(reader_.Read<uint8_t>()));
      return OkStatus();
    case '\x8d':
      PushText(Kind::kText, reader_.TakeText(reader_.Read<uint64_t>()));
      return OkStatus();
    case 'B':
      PushText(Kind::kBytes, reader_.TakeText(reader_.Read<uint32_t>()));
      return OkStatus();
    case 'C':
      PushText(Kind::kBytes, reader_.TakeText(reader_.Read<uint8_t>()));
      return OkStatus();
    case '\x8e':
      PushText(Kind::kBytes, reader_.TakeText(reader_.Read<uint64_t>()));
      return OkStatus();
    default:
      *handled = false;
      return OkStatus();
  }
}

Status PickleMachine::Container(char opcode, bool* handled) {
  *handled = true;
  switch (opcode) {
    case '(':
      if (marks_.size() == kMaxPickleDepth)
        return TooLarge("pickle: nested more than " + std::to_string(kMaxPickleDepth) + " deep");
      marks_.push_back(stack_.size());
      return OkStatus();
    case ')':
      Push(Add(Kind::kTuple));
      return OkStatus();
    case ']':
      Push(Add(Kind::kList));
      return OkStatus();
    case '}':
      Push(Add(Kind::kDict));
      return OkStatus();
    case '\x8f':
      Push(Add(Kind::kSet));
      return OkStatus();
    case '\x85':
      return PushTuple(1);
    case '\x86':
      return PushTuple(2);
    case '\x87':
      return PushTuple(3);
    case 't':
      return PushItems(Kind::kTuple);
    case 'l':
      return PushItems(Kind::kList);
    case 'd':
      return PushItems(Kind::kDict);
    case '\x91':
      return PushItems(Kind::kSet);
    case 'a':
      return Extend(Kind::kList, false, 1);
    case 'e':
      return Extend(Kind::kList, true, 0);
    case 's':
      return Extend(Kind::kDict, false, 2);
    case 'u':
      return Extend(Kind::kDict, true, 0);
    case '\x90':
      return Extend(Kind::kSet, true, 0);
    default:
      *handled = false;
      return OkStatus();
  }
}

Status PickleMachine::Memo(char opcode, bool* handled) {
  *handled = true;
  switch (opcode) {
    case 'q':
      return Put(reader_.Read<uint8_t>());
    case 'r':
      return Put(reader_.Read<uint32_t>());
    case '\x94':
      return Put(memo_.size());
    case 'h':
      return Get(reader_.Read<uint8_t>());
    case 'j':
      return Get(reader_.Read<uint32_t>());
    case '\x95':  // FRAME: a hint for reading ahead
      reader_.Read<uint64_t>();
      return OkStatus();
    default:
      *handled = false;
      return OkStatus();
  }
}

Status PickleMachine::Object(char opcode, bool* handled) {
  *handled = true;
  switch (opcode) {
    case '.':
      stopped_ = true;
      return OkStatus();
    case 'c': {
      const std::string_view module = reader_.TakeLine();
      const std::string_view name = reader_.TakeLine();
      return reader_.failed() ? OkStatus() : PushGlobal(module, name);
    }
    case '\x93': {
      MLOS_ASSIGN_OR_RETURN(const PickleRef name, Pop());
      MLOS_ASSIGN_OR_RETURN(const PickleRef module, Pop());
      if (nodes_[name].kind != Kind::kText || nodes_[module].kind != Kind::kText)
        return Damaged("a global whose name is no text");
      return PushGlobal(nodes_[module].text, nodes_[name].text);
    }
    case 'R':
      return Call(Kind::kCall);
    case '\x81':
      return Call(Kind::kObject);
    case 'b': {
      MLOS_ASSIGN_OR_RETURN(const PickleRef state, Pop());
      if (Available() == 0) return Damaged("sets the state of a value that is not there");
      PickleNode& target = nodes_[stack_.back()];
      if (target.kind != Kind::kCall && target.kind != Kind::kObject && target.kind != Kind::kDict)
        return Damaged("sets the state of what has none");
      target.state = state;
      return OkStatus();
    }
    case 'Q': {
      MLOS_ASSIGN_OR_RETURN(const PickleRef id, Pop());
      const PickleRef ref = Add(Kind::kPersistent);
      nodes_[ref].items = {id};
      Push(ref);
      return OkStatus();
    }
    default:
      *handled = false;
      return OkStatus();
  }
}

Status PickleMachine::PushGlobal(std::string_view module, std::string_view name) {
  if (module.size() + name.size() > kMaxGlobalName) return Damaged("a global with a name over 1 KB");
  std::string full = std::string(module) + "." + std::string(name);
  if (const auto known = globals_.find(full); known != globals_.end()) {
    Push(known->second);
    return OkStatus();
  }
  switch (ClassifyGlobal(module, name)) {
    case GlobalKind::kKnown:
      break;
    case GlobalKind::kDangerous:
      return PermissionDenied("malicious pickle: it calls '" + Shown(full) +
                              "', which no model needs and which could do harm; nothing was executed. Do not "
                              "load this file with other software");
    case GlobalKind::kUnknown:
      return Unimplemented("pickle: mentions '" + Shown(full) +
                           "', which is no part of a state dict; save the weights alone "
                           "(torch.save(model.state_dict(), ...)) or as SafeTensors");
  }
  const PickleRef ref = Add(Kind::kGlobal);
  names_.push_back(full);
  nodes_[ref].text = names_.back();
  globals_.emplace(std::move(full), ref);
  Push(ref);
  return OkStatus();
}

Status PickleMachine::Call(Kind kind) {
  MLOS_ASSIGN_OR_RETURN(const PickleRef arguments, Pop());
  MLOS_ASSIGN_OR_RETURN(const PickleRef callable, Pop());
  if (nodes_[callable].kind != Kind::kGlobal || nodes_[arguments].kind != Kind::kTuple)
    return Damaged("calls what is no global, or with what are no arguments");
  const std::string_view name = nodes_[callable].text;
  if (IsDictClass(name)) return CallDict(arguments);
  if (IsSetClass(name)) {
    const PickleRef ref = Add(Kind::kSet);
    nodes_[ref].items = {arguments};  // not the members: one list could be given a million times
    Push(ref);
    return OkStatus();
  }
  if (name == "torch.Size" && nodes_[arguments].items.size() == 1) {
    Push(nodes_[arguments].items.front());
    return OkStatus();
  }
  const PickleRef ref = Add(kind);
  nodes_[ref].items = {callable, arguments};
  Push(ref);
  return OkStatus();
}

// OrderedDict(), or, from Python 2, OrderedDict([[key, value], ...]).
Status PickleMachine::CallDict(PickleRef arguments) {
  const PickleRef ref = Add(Kind::kDict);
  Push(ref);
  for (const PickleRef argument : std::vector<PickleRef>(nodes_[arguments].items)) {
    if (nodes_[argument].kind != Kind::kList) continue;
    for (const PickleRef pair : std::vector<PickleRef>(nodes_[argument].items)) {
      const auto& items = nodes_[pair].items;
      if (items.size() != 2) return Damaged("an OrderedDict made of what are no pairs");
      if (++copied_pairs_ > kMaxPickleNodes) return TooLarge("pickle: too many pairs");
      nodes_[ref].items.insert(nodes_[ref].items.end(), {items[0], items[1]});
    }
  }
  return OkStatus();
}

Result<Pickle> Pickle::Read(std::span<const std::byte> bytes, size_t* end) {
  Pickle pickle;
  MLOS_RETURN_IF_ERROR(PickleMachine(bytes, &pickle).Run(&pickle.root_, end));
  return pickle;
}

std::span<const PickleRef> Pickle::Items(PickleRef ref, Kind kind) const {
  if (ref == kNoPickle || nodes_[ref].kind != kind) return {};
  return nodes_[ref].items;
}

bool Pickle::IsGlobal(PickleRef ref, std::string_view name) const {
  return ref != kNoPickle && nodes_[ref].kind == Kind::kGlobal && nodes_[ref].text == name;
}

PickleRef Pickle::Lookup(PickleRef dict, std::string_view key) const {
  const auto items = Items(dict, Kind::kDict);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    const PickleNode& name = nodes_[items[i]];
    if (name.kind == Kind::kText && name.text == key) return items[i + 1];
  }
  return kNoPickle;
}

}  // namespace mlos::convert
