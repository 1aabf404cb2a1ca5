// SPDX-License-Identifier: Apache-2.0
#include "wire/json_tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "base/checked.h"
#include "wire/base64.h"
#include "wire/number_run.h"

namespace mlos::wire {
namespace {

// Elements to make room for at first: what the declared shape holds with free dimensions 1, but never more than the text can
// hold (a value and its comma are two bytes).
size_t FirstCapacity(const TensorSpec& spec, size_t text_bytes) {
  int64_t count = 1;
  for (const int64_t dim : spec.shape) {
    if (__builtin_mul_overflow(count, std::max<int64_t>(dim, 1), &count))
      count = std::numeric_limits<int64_t>::max() / 2;
  }
  return std::min(std::max<size_t>(static_cast<size_t>(count), 16), text_bytes / 2 + 1);
}

// The values of one tensor as they come, in memory that becomes the tensor when its size was guessed right.
class ElementBuffer {
 public:
  ElementBuffer(const TensorSpec& spec, size_t text_bytes, std::shared_ptr<TensorArena> arena)
      : dtype_(spec.dtype),
        arena_(std::move(arena)),
        parse_(RunParserFor(spec.dtype)),
        first_capacity_(FirstCapacity(spec, text_bytes)) {}

  size_t count() const { return count_; }

  // Values at the cursor, at most `limit`; BYTES: one.
  Result<RunStop> ReadRun(JsonCursor& cursor, size_t limit) {
    const char next = cursor.Peek();
    if (parse_ == nullptr) {
      if (next != '"' && next != '{') return RunStop::kNotValue;
      MLOS_RETURN_IF_ERROR(ReadString(cursor));
      return RunStop::kEnd;
    }
    while (true) {
      if (count_ == capacity_) MLOS_RETURN_IF_ERROR(Grow());
      std::byte* out = tensor_.data().data() + count_ * DTypeSize(dtype_);
      const size_t room = std::min(limit, capacity_ - count_);
      const RunResult run = parse_(cursor.at(), cursor.end(), out, room);
      count_ += run.count;
      limit -= run.count;
      cursor.MoveTo(run.p);
      if (run.stop != RunStop::kFull || limit == 0) return run.stop;
    }
  }

  Result<Tensor> Take(Shape shape) {
    if (parse_ == nullptr) {
      return Tensor::Copy(dtype_, std::move(shape), std::as_bytes(std::span(strings_)));
    }
    if (capacity_ == 0) return Tensor::Allocate(dtype_, std::move(shape), arena_);  // no elements
    if (count_ != capacity_) {
      return Tensor::Copy(dtype_, std::move(shape), tensor_.data().first(count_ * DTypeSize(dtype_)), arena_);
    }
    MLOS_RETURN_IF_ERROR(tensor_.Reshape(std::move(shape)));
    return std::move(tensor_);
  }

 private:
  Status Grow() {
    const size_t wanted = capacity_ == 0 ? first_capacity_ : capacity_ * 2;
    MLOS_ASSIGN_OR_RETURN(Tensor bigger, Tensor::Allocate(dtype_, {static_cast<int64_t>(wanted)}, arena_));
    if (count_ > 0) std::memcpy(bigger.data().data(), tensor_.data().data(), count_ * DTypeSize(dtype_));
    tensor_ = std::move(bigger);
    capacity_ = wanted;
    return OkStatus();
  }

  Status ReadString(JsonCursor& cursor) {
    std::string value;
    if (cursor.Peek() == '{') {
      std::string text;
      MLOS_RETURN_IF_ERROR(cursor.ForEachMember([&](const std::string& key) -> Status {
        if (key != "b64")
          return Unprocessable("a string sent as an object has the one key 'b64', found '" + key + "'");
        return cursor.ReadString(&text);
      }));
      MLOS_ASSIGN_OR_RETURN(value, DecodeBase64(text));
    } else {
      MLOS_RETURN_IF_ERROR(cursor.ReadString(&value));
    }
    const auto length = CheckedCast<uint32_t>(value.size());
    if (!length) return TooLarge("a string of more than 4 GiB");
    strings_.append(reinterpret_cast<const char*>(&*length), sizeof *length);
    strings_ += value;
    ++count_;
    return OkStatus();
  }

  const DType dtype_;
  const std::shared_ptr<TensorArena> arena_;
  const RunParser parse_;  // null: BYTES
  const size_t first_capacity_;
  Tensor tensor_;
  size_t capacity_ = 0;
  size_t count_ = 0;
  std::string strings_;
};

// Walks the brackets and checks that the nesting is a box.
class NestedReader {
 public:
  NestedReader(JsonCursor& cursor, const TensorSpec& spec, const std::shared_ptr<TensorArena>& arena)
      : cursor_(cursor), spec_(spec), values_(spec, cursor.remaining(), arena) {
    sizes_.fill(kUnknown);
  }

  // The shape as sent.
  Result<Shape> Read() {
    while (true) {
      if (cursor_.TryConsume('[')) {
        MLOS_RETURN_IF_ERROR(Open());
        if (cursor_.Peek() != ']') continue;
      } else {
        MLOS_RETURN_IF_ERROR(ReadValues());
      }
      while (depth_ > 0 && cursor_.TryConsume(']')) MLOS_RETURN_IF_ERROR(Close());
      if (depth_ == 0) return Shape(sizes_.begin(), sizes_.begin() + rank_);
      MLOS_RETURN_IF_ERROR(cursor_.Consume(','));
      // "[1, ]" must not pass for "[1]".
      if (cursor_.Peek() == ']') return cursor_.Error("expected a value after ',', found ']'");
    }
  }

  Result<Tensor> Take(Shape shape) { return values_.Take(std::move(shape)); }

 private:
  static constexpr int64_t kUnknown = -1;

  Status Open() {
    if (depth_ == kMaxTensorRank) {
      return Unprocessable("input '" + spec_.name + "': wanted " + SpecToString(spec_) +
                           ", got arrays nested more than " + std::to_string(kMaxTensorRank) + " deep");
    }
    if (has_value_ && depth_ == rank_)
      return Ragged("an array where the elements before it are plain values");
    counts_[static_cast<size_t>(depth_)] = 0;
    rank_ = std::max(rank_, ++depth_);
    return OkStatus();
  }

  Status Close() {
    const auto level = static_cast<size_t>(--depth_);
    if (sizes_[level] == kUnknown) {
      sizes_[level] = counts_[level];
    } else if (sizes_[level] != counts_[level]) {
      return Ragged("an array of " + std::to_string(counts_[level]) +
                    " elements where the ones before it have " + std::to_string(sizes_[level]));
    }
    if (level > 0) ++counts_[level - 1];
    return OkStatus();
  }

  Status ReadValues() {
    if (depth_ != rank_) return Ragged("a plain value where the elements before it are arrays");
    const size_t before = values_.count();
    const size_t limit = depth_ == 0 ? 1 : std::numeric_limits<size_t>::max();
    const Result<RunStop> stop = values_.ReadRun(cursor_, limit);
    if (depth_ > 0)
      counts_[static_cast<size_t>(depth_ - 1)] += static_cast<int64_t>(values_.count() - before);
    if (!stop.ok()) return stop.status();
    has_value_ = true;
    if (*stop == RunStop::kEnd || *stop == RunStop::kFull) return OkStatus();
    return Refuse(*stop);
  }

  Status Refuse(RunStop stop) {
    const char next = cursor_.Peek();
    const bool number = next == '-' || (next >= '0' && next <= '9');
    const std::string_view rest(cursor_.at(), cursor_.remaining());
    const bool infinite = rest.starts_with("NaN") || rest.starts_with("Inf") || rest.starts_with("-Inf");
    const bool well_formed = infinite || next == '"' || next == '{' || next == '[' ||
                             rest.starts_with("true") || rest.starts_with("false") ||
                             rest.starts_with("null") || (number && stop != RunStop::kNotValue) ||
                             (number && ScanNumber(cursor_.at(), cursor_.end()) != nullptr);
    if (!well_formed)
      return cursor_.Error("expected a value of input '" + spec_.name + "', found " + cursor_.DescribeNext());
    std::string why;
    if (infinite) why = ": JSON has no NaN and no infinity";
    if (stop == RunStop::kNotIntegral) why = ": not an integer";
    if (stop == RunStop::kOutOfRange) why = ": out of range";
    return Unprocessable(Position() + ": wanted " + std::string(DTypeName(spec_.dtype)) + ", got " +
                         cursor_.DescribeNext() + why);
  }

  Status Ragged(const std::string& what) { return Unprocessable(Position() + ": " + what); }

  // "input 'x', element [0, 2]": where the value stands that is being read.
  std::string Position() const {
    return "input '" + spec_.name + "', element " +
           ShapeToString(std::span(counts_.data(), static_cast<size_t>(depth_)));
  }

  JsonCursor& cursor_;
  const TensorSpec& spec_;
  ElementBuffer values_;
  int depth_ = 0;                                 // brackets open
  int rank_ = 0;                                  // most that were open
  bool has_value_ = false;                        // then values stand at depth rank_
  std::array<int64_t, kMaxTensorRank> counts_{};  // elements so far of each open array
  std::array<int64_t, kMaxTensorRank> sizes_{};   // of the arrays closed at each depth
};

// Checks `sent` against what is declared. A lone value is a list of one as well.
Result<Shape> Fit(const TensorSpec& spec, const Shape& sent) {
  Result<Shape> shape = FitShape(spec, sent);
  if (!shape.ok() && sent.empty()) shape = FitShape(spec, {1});
  return shape;
}

Result<Shape> ReadShape(JsonCursor& cursor, const TensorSpec& spec) {
  Shape shape;
  MLOS_RETURN_IF_ERROR(cursor.ForEachElement([&](size_t) -> Status {
    std::string_view text;
    MLOS_RETURN_IF_ERROR(cursor.ReadNumberText(&text));
    int64_t dim = -1;
    const RunResult run = RunParserFor(DType::kInt64)(text.data(), text.data() + text.size(), &dim, 1);
    if (run.count != 1 || dim < 0) {
      return Unprocessable("input '" + spec.name + "': 'shape' holds " + std::string(text.substr(0, 40)) +
                           ", not a size");
    }
    if (shape.size() == static_cast<size_t>(kMaxTensorRank))
      return Unprocessable("input '" + spec.name + "': 'shape' has too many dimensions");
    shape.push_back(dim);
    return OkStatus();
  }));
  return shape;
}

Status CheckDatatype(const TensorSpec& spec, const std::string& name) {
  const std::optional<DType> dtype = DTypeFromName(name);
  if (dtype == spec.dtype) return OkStatus();
  return Unprocessable("input '" + spec.name + "': wanted datatype " + std::string(DTypeName(spec.dtype)) +
                       ", got '" + name + "'");
}

// The object form. Values are read where they stand; whether they fit a shape that may come later is decided at the end.
Result<Tensor> DecodeObject(JsonCursor& cursor, const TensorSpec& spec,
                            const std::shared_ptr<TensorArena>& arena) {
  std::optional<NestedReader> values;
  Shape nested;
  std::optional<std::string> bytes;
  std::optional<Shape> shape;
  MLOS_RETURN_IF_ERROR(cursor.ForEachMember([&](const std::string& key) -> Status {
    if (key == "data") {
      values.emplace(cursor, spec, arena);
      MLOS_ASSIGN_OR_RETURN(nested, values->Read());
    } else if (key == "b64") {
      std::string text;
      MLOS_RETURN_IF_ERROR(cursor.ReadString(&text));
      Result<std::string> decoded = DecodeBase64(text);
      if (!decoded.ok()) return Unprocessable("input '" + spec.name + "': " + decoded.status().message());
      bytes = std::move(decoded).value();
    } else if (key == "shape") {
      MLOS_ASSIGN_OR_RETURN(shape, ReadShape(cursor, spec));
    } else if (key == "datatype") {
      std::string name;
      MLOS_RETURN_IF_ERROR(cursor.ReadString(&name));
      MLOS_RETURN_IF_ERROR(CheckDatatype(spec, name));
    } else {
      return Unprocessable("input '" + spec.name + "': unknown key '" + key +
                           "'; an object has data or b64, shape, datatype");
    }
    return OkStatus();
  }));
  if (values.has_value() == bytes.has_value()) {
    return Unprocessable("input '" + spec.name + "': an object has either 'data' or 'b64'");
  }
  if (bytes) return TensorFromBytes(spec, *bytes, shape ? &*shape : nullptr, arena);
  if (!shape) {
    MLOS_ASSIGN_OR_RETURN(Shape fitted, Fit(spec, nested));
    return values->Take(std::move(fitted));
  }
  const Result<int64_t> wanted = ElementCount(*shape);
  const Result<int64_t> sent = ElementCount(nested);
  if (!wanted.ok() || !sent.ok() || *wanted != *sent) {
    return Unprocessable("input '" + spec.name + "': 'shape' " + ShapeToString(*shape) +
                         " does not hold 'data' of shape " + ShapeToString(nested));
  }
  MLOS_ASSIGN_OR_RETURN(Shape fitted, FitShape(spec, *shape));
  return values->Take(std::move(fitted));
}

}  // namespace

Result<Tensor> DecodeTensor(JsonCursor& cursor, const TensorSpec& spec,
                            const std::shared_ptr<TensorArena>& arena) {
  if (cursor.Peek() == '{') {
    // A BYTES scalar may be {"b64": ...} too; the object form reads it alike.
    return DecodeObject(cursor, spec, arena);
  }
  NestedReader reader(cursor, spec, arena);
  MLOS_ASSIGN_OR_RETURN(const Shape sent, reader.Read());
  MLOS_ASSIGN_OR_RETURN(Shape shape, Fit(spec, sent));
  return reader.Take(std::move(shape));
}

Result<Tensor> TensorFromBytes(const TensorSpec& spec, std::string_view bytes, const Shape* shape,
                               const std::shared_ptr<TensorArena>& arena) {
  if (spec.dtype == DType::kBytes) {
    if (shape == nullptr) return TensorFromTexts(spec, {std::string(bytes)});
    MLOS_ASSIGN_OR_RETURN(Shape fitted, FitShape(spec, *shape));
    Result<Tensor> tensor = Tensor::Copy(spec.dtype, std::move(fitted), std::as_bytes(std::span(bytes)));
    if (!tensor.ok()) return Unprocessable("input '" + spec.name + "': " + tensor.status().message());
    return tensor;
  }
  const size_t element = DTypeSize(spec.dtype);
  if (element == 0 || bytes.size() % element != 0) {
    return Unprocessable("input '" + spec.name + "': wanted " + SpecToString(spec) + ", got " +
                         std::to_string(bytes.size()) + " bytes, not a multiple of " +
                         std::to_string(element));
  }
  const auto count = static_cast<int64_t>(bytes.size() / element);
  MLOS_ASSIGN_OR_RETURN(Shape fitted, Fit(spec, shape != nullptr ? *shape : Shape{count}));
  const Result<int64_t> fitted_count = ElementCount(fitted);
  if (!fitted_count.ok() || *fitted_count != count) {
    return Unprocessable("input '" + spec.name + "': shape " + ShapeToString(fitted) + " does not hold the " +
                         std::to_string(count) + " elements sent");
  }
  if (spec.dtype == DType::kBool) {
    const auto bad = std::ranges::find_if(bytes, [](char c) { return c != 0 && c != 1; });
    if (bad != bytes.end()) {
      return Unprocessable("input '" + spec.name + "': byte " + std::to_string(bad - bytes.begin()) +
                           " of a BOOL is neither 0 nor 1");
    }
  }
  return Tensor::Copy(spec.dtype, std::move(fitted), std::as_bytes(std::span(bytes)), arena);
}

Result<Tensor> TensorFromTexts(const TensorSpec& spec, const std::vector<std::string>& texts) {
  MLOS_ASSIGN_OR_RETURN(Shape shape, FitShape(spec, {static_cast<int64_t>(texts.size())}));
  return Tensor::FromStrings(std::move(shape), texts);
}

}  // namespace mlos::wire
