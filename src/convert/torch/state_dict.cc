// SPDX-License-Identifier: Apache-2.0
#include "convert/torch/state_dict.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include <simdjson.h>

#include "base/checked.h"

namespace mlos::convert {
namespace {

using Kind = PickleNode::Kind;

constexpr size_t kMaxRank = 16;
constexpr size_t kMaxTensors = 1'000'000;
constexpr int kMaxWrappers = 3;  // {"model": {"state_dict": ...}}
constexpr int kMaxModuleDepth = 64;
constexpr int kMaxRebuilds = 8;  // a parameter of a parameter ...
constexpr uint64_t kMaxVisits = 4'000'000;

struct NamedDtype {
  std::string_view name;
  DType dtype;
};

constexpr std::array kStorageTypes = {
    NamedDtype{"torch.FloatStorage", DType::kFp32},
    NamedDtype{"torch.DoubleStorage", DType::kFp64},
    NamedDtype{"torch.HalfStorage", DType::kFp16},
    NamedDtype{"torch.BFloat16Storage", DType::kBf16},
    NamedDtype{"torch.LongStorage", DType::kInt64},
    NamedDtype{"torch.IntStorage", DType::kInt32},
    NamedDtype{"torch.ShortStorage", DType::kInt16},
    NamedDtype{"torch.CharStorage", DType::kInt8},
    NamedDtype{"torch.ByteStorage", DType::kUint8},
    NamedDtype{"torch.BoolStorage", DType::kBool},
    NamedDtype{"torch.storage.UntypedStorage", DType::kUint8},
    NamedDtype{"torch.storage._UntypedStorage", DType::kUint8},
};

constexpr std::array kDtypes = {
    NamedDtype{"torch.float32", DType::kFp32},  NamedDtype{"torch.float", DType::kFp32},
    NamedDtype{"torch.float64", DType::kFp64},  NamedDtype{"torch.double", DType::kFp64},
    NamedDtype{"torch.float16", DType::kFp16},  NamedDtype{"torch.half", DType::kFp16},
    NamedDtype{"torch.bfloat16", DType::kBf16}, NamedDtype{"torch.int64", DType::kInt64},
    NamedDtype{"torch.long", DType::kInt64},    NamedDtype{"torch.int32", DType::kInt32},
    NamedDtype{"torch.int", DType::kInt32},     NamedDtype{"torch.int16", DType::kInt16},
    NamedDtype{"torch.short", DType::kInt16},   NamedDtype{"torch.int8", DType::kInt8},
    NamedDtype{"torch.uint8", DType::kUint8},   NamedDtype{"torch.bool", DType::kBool},
};

Status Damaged(const std::string& what) { return DataLoss("PyTorch checkpoint: " + what); }

std::optional<DType> Find(std::span<const NamedDtype> list, std::string_view name) {
  for (const NamedDtype& known : list) {
    if (known.name == name) return known.dtype;
  }
  return std::nullopt;
}

class StateDictReader {
 public:
  explicit StateDictReader(const Pickle& pickle) : pickle_(pickle) {}

  Result<std::vector<StoredTensor>> Run() {
    MLOS_RETURN_IF_ERROR(Enter(pickle_.root(), 0));
    if (tensors_.empty()) {
      return Unimplemented(
          "PyTorch checkpoint: it holds no state dict (looked at the top level, in the attributes of a "
          "module, and under " +
          std::string("state_dict, model_state_dict, model, module, net, ema)"));
    }
    StripCommonPrefix("_orig_mod.");
    StripCommonPrefix("module.");
    return std::move(tensors_);
  }

 private:
  Status Enter(PickleRef ref, int wrappers);
  Status ReadDict(PickleRef dict, const std::string& prefix);
  Status ReadModule(PickleRef object, const std::string& prefix, int depth);
  Status ReadAttributes(PickleRef state, const std::string& prefix, int depth);
  Result<bool> ReadTensor(PickleRef ref, const std::string& name);
  Status Rebuild(const std::string& name, std::string_view function, std::span<const PickleRef> arguments);
  Result<Shape> Sizes(const std::string& name, PickleRef ref, std::string_view what) const;
  Status CheckView(const StoredTensor& tensor) const;

  const PickleNode& At(PickleRef ref) const { return pickle_.at(ref); }
  std::string_view CalledName(PickleRef ref) const {
    return ref != kNoPickle && At(ref).kind == Kind::kCall ? At(At(ref).items[0]).text : std::string_view();
  }
  bool IsTensor(PickleRef ref) const {
    const std::string_view name = CalledName(ref);
    return name.starts_with("torch._utils._rebuild_") || name.starts_with("torch._tensor._rebuild_");
  }
  bool HoldsTensors(PickleRef ref) const {
    const auto items = pickle_.Items(ref, Kind::kDict);
    for (size_t i = 1; i < items.size(); i += 2) {
      if (IsTensor(items[i])) return true;
    }
    return false;
  }
  bool IsModule(PickleRef ref) const {
    const Kind kind = At(ref).kind;
    return (kind == Kind::kObject || kind == Kind::kCall) && At(ref).state != kNoPickle && !IsTensor(ref);
  }
  void StripCommonPrefix(std::string_view prefix) {
    for (const StoredTensor& tensor : tensors_) {
      if (!tensor.name.starts_with(prefix)) return;
    }
    for (StoredTensor& tensor : tensors_) tensor.name.erase(0, prefix.size());
  }

  const Pickle& pickle_;
  std::vector<StoredTensor> tensors_;
  uint64_t visits_ = 0;
};

Status StateDictReader::Enter(PickleRef ref, int wrappers) {
  if (IsModule(ref)) return ReadModule(ref, "", 0);
  if (HoldsTensors(ref)) return ReadDict(ref, "");
  if (wrappers == kMaxWrappers) return OkStatus();
  for (const char* key : {"state_dict", "model_state_dict", "model", "module", "net", "ema"}) {
    const PickleRef inner = pickle_.Lookup(ref, key);
    if (inner == kNoPickle) continue;
    MLOS_RETURN_IF_ERROR(Enter(inner, wrappers + 1));
    if (!tensors_.empty()) return OkStatus();
  }
  return OkStatus();
}

Status StateDictReader::ReadDict(PickleRef dict, const std::string& prefix) {
  const auto items = pickle_.Items(dict, Kind::kDict);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    const PickleNode& key = At(items[i]);
    if (key.kind != Kind::kText) continue;
    if (!simdjson::validate_utf8(key.text.data(), key.text.size()) ||
        key.text.find('\0') != std::string_view::npos)
      return Damaged("a tensor's name is no text");
    MLOS_RETURN_IF_ERROR(ReadTensor(items[i + 1], prefix + std::string(key.text)).status());
  }
  return OkStatus();
}

Status StateDictReader::ReadModule(PickleRef object, const std::string& prefix, int depth) {
  if (depth > kMaxModuleDepth) return Damaged("modules are nested more than 64 deep");
  PickleRef state = At(object).state;
  // __setstate__ may be given (dict, slots).
  if (const auto pair = pickle_.Items(state, Kind::kTuple); pair.size() == 2) state = pair[0];
  const PickleRef modules = pickle_.Lookup(state, "_modules");
  if (modules == kNoPickle) return ReadAttributes(state, prefix, depth);
  for (const char* which : {"_parameters", "_buffers"}) {
    const PickleRef dict = pickle_.Lookup(state, which);
    if (dict != kNoPickle) MLOS_RETURN_IF_ERROR(ReadDict(dict, prefix));
  }
  return ReadAttributes(modules, prefix, depth);
}

// A scripted module keeps tensors and modules side by side.
Status StateDictReader::ReadAttributes(PickleRef state, const std::string& prefix, int depth) {
  const auto items = pickle_.Items(state, Kind::kDict);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (++visits_ > kMaxVisits) return TooLarge("PyTorch checkpoint: its modules hold each other in circles");
    const PickleNode& key = At(items[i]);
    if (key.kind != Kind::kText) continue;
    const std::string name = prefix + std::string(key.text);
    if (!simdjson::validate_utf8(name.data(), name.size())) return Damaged("a tensor's name is no text");
    MLOS_ASSIGN_OR_RETURN(const bool is_tensor, ReadTensor(items[i + 1], name));
    if (!is_tensor && IsModule(items[i + 1]))
      MLOS_RETURN_IF_ERROR(ReadModule(items[i + 1], name + ".", depth + 1));
  }
  return OkStatus();
}

// Unwraps parameters and subclasses of Tensor down to the call that rebuilds it.
Result<bool> StateDictReader::ReadTensor(PickleRef ref, const std::string& name) {
  std::string_view function = CalledName(ref);
  if (function.starts_with("numpy")) {
    return Status(Code::kUnimplemented, "PyTorch checkpoint: '" + name + "' is a numpy array, no tensor");
  }
  if (!IsTensor(ref)) return false;
  std::span<const PickleRef> arguments = pickle_.Items(At(ref).items[1], Kind::kTuple);
  for (int i = 0; i < kMaxRebuilds; ++i) {
    if (function == "torch._utils._rebuild_parameter" ||
        function == "torch._utils._rebuild_parameter_with_state") {
      if (arguments.empty() || !IsTensor(arguments[0]))
        return Damaged("'" + name + "' is a parameter of nothing");
      ref = arguments[0];
      function = CalledName(ref);
      arguments = pickle_.Items(At(ref).items[1], Kind::kTuple);
    } else if (function == "torch._tensor._rebuild_from_type_v2" && arguments.size() >= 3) {
      if (At(arguments[0]).kind != Kind::kGlobal) return Damaged("'" + name + "' is rebuilt by nothing");
      function = At(arguments[0]).text;
      arguments = pickle_.Items(arguments[2], Kind::kTuple);
    } else {
      break;
    }
  }
  MLOS_RETURN_IF_ERROR(Rebuild(name, function, arguments));
  return true;
}

Result<Shape> StateDictReader::Sizes(const std::string& name, PickleRef ref, std::string_view what) const {
  Shape sizes;
  if (At(ref).kind != Kind::kTuple && At(ref).kind != Kind::kList)
    return Damaged("tensor '" + name + "': " + std::string(what) + " is no list");
  for (const PickleRef item : At(ref).items) {
    if (At(item).kind != Kind::kInt || At(item).integer < 0)
      return Damaged("tensor '" + name + "': " + std::string(what) + " has an entry that is no size");
    if (sizes.size() == kMaxRank) return Damaged("tensor '" + name + "': more than 16 dimensions");
    sizes.push_back(At(item).integer);
  }
  return sizes;
}

// _rebuild_tensor(storage, offset, size, stride), _rebuild_tensor_v2(the same, requires_grad, hooks ...),
// _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype ...).
Status StateDictReader::Rebuild(const std::string& name, std::string_view function,
                                std::span<const PickleRef> arguments) {
  const bool typed = function == "torch._utils._rebuild_tensor_v3";
  if (!typed && function != "torch._utils._rebuild_tensor" && function != "torch._utils._rebuild_tensor_v2") {
    return Unimplemented("PyTorch checkpoint: tensor '" + name + "' is rebuilt by " + std::string(function) +
                         " (quantised, sparse or without data): not supported");
  }
  if (arguments.size() < (typed ? 7U : 4U)) return Damaged("tensor '" + name + "' lacks arguments");
  if (tensors_.size() == kMaxTensors) return TooLarge("PyTorch checkpoint: more than a million tensors");
  StoredTensor tensor;
  tensor.name = name;
  Result<TorchStorage> storage = ReadStorage(pickle_, arguments[0]);
  if (!storage.ok()) return storage.status().WithContext("tensor '" + name + "'");
  tensor.storage = *storage;
  tensor.dtype = storage->dtype;
  if (typed) {
    const std::optional<DType> dtype =
        At(arguments[6]).kind == Kind::kGlobal ? Find(kDtypes, At(arguments[6]).text) : std::nullopt;
    if (!dtype)
      return Unimplemented("PyTorch checkpoint: tensor '" + name + "' has a dtype that is not supported");
    tensor.dtype = *dtype;
  }
  if (At(arguments[1]).kind != Kind::kInt || At(arguments[1]).integer < 0)
    return Damaged("tensor '" + name + "' begins nowhere");
  tensor.storage_offset = static_cast<uint64_t>(At(arguments[1]).integer);
  MLOS_ASSIGN_OR_RETURN(tensor.shape, Sizes(name, arguments[2], "its size"));
  MLOS_ASSIGN_OR_RETURN(tensor.strides, Sizes(name, arguments[3], "its stride"));
  MLOS_RETURN_IF_ERROR(CheckView(tensor));
  tensors_.push_back(std::move(tensor));
  return OkStatus();
}

Status StateDictReader::CheckView(const StoredTensor& tensor) const {
  if (tensor.shape.size() != tensor.strides.size())
    return Damaged("tensor '" + tensor.name + "' has as many strides as no dimensions");
  const Result<size_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
  if (!bytes.ok()) return Damaged("tensor '" + tensor.name + "': " + bytes.status().message());
  const uint64_t elements = tensor.storage.size_bytes / DTypeSize(tensor.dtype);
  std::optional<uint64_t> last = tensor.storage_offset;
  for (size_t i = 0; i < tensor.shape.size() && *bytes > 0 && last; ++i) {
    const auto step =
        CheckedMul(static_cast<uint64_t>(tensor.shape[i] - 1), static_cast<uint64_t>(tensor.strides[i]));
    last = step ? CheckedAdd(*last, *step) : std::nullopt;
  }
  if (!last || *last > elements || (*bytes > 0 && *last == elements)) {
    return Damaged("tensor '" + tensor.name + "' " + ShapeToString(tensor.shape) +
                   " reaches beyond its storage of " + std::to_string(elements) + " elements");
  }
  return OkStatus();
}

}  // namespace

// ("storage", class, key, location, element count[, view of another storage]).
Result<TorchStorage> ReadStorage(const Pickle& pickle, PickleRef persistent) {
  const auto outer = pickle.Items(persistent, Kind::kPersistent);
  const auto id = outer.empty() ? std::span<const PickleRef>() : pickle.Items(outer[0], Kind::kTuple);
  if (id.size() < 5 || pickle.at(id[0]).text != "storage" || pickle.at(id[1]).kind != Kind::kGlobal ||
      pickle.at(id[2]).kind != Kind::kText || pickle.at(id[4]).kind != Kind::kInt ||
      pickle.at(id[4]).integer < 0)
    return Damaged("a persistent id that describes no storage (a pickled module of torch before 1.6?)");
  if (id.size() > 5 && pickle.at(id[5]).kind != Kind::kNone)
    return Status(Code::kUnimplemented, "PyTorch checkpoint: storages that are views of others (torch 0.3)");
  const std::string_view type = pickle.at(id[1]).text;
  const std::optional<DType> dtype = Find(kStorageTypes, type);
  if (!dtype) {
    return Status(Code::kUnimplemented, "PyTorch checkpoint: storages of type " + std::string(type) +
                                            " are not supported (quantised or complex)");
  }
  TorchStorage storage;
  storage.key = pickle.at(id[2]).text;
  storage.dtype = *dtype;
  storage.element_count = static_cast<uint64_t>(pickle.at(id[4]).integer);
  const auto bytes = CheckedMul<uint64_t>(storage.element_count, DTypeSize(*dtype));
  if (!bytes) return Damaged("a storage of " + std::to_string(storage.element_count) + " elements");
  storage.size_bytes = *bytes;
  return storage;
}

Result<std::vector<StoredTensor>> ReadStateDict(const Pickle& pickle) {
  return StateDictReader(pickle).Run();
}

}  // namespace mlos::convert
