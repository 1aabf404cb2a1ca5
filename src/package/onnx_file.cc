// SPDX-License-Identifier: Apache-2.0
// Field numbers are those of onnx.proto; each is named where it is used.
#include "package/onnx_file.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/checked.h"
#include "package/path.h"
#include "package/protobuf_reader.h"

namespace mlos::package {
namespace {

using Bytes = std::span<const std::byte>;

// Graphs inside nodes inside graphs: real models have a handful of levels, protobuf libraries stop at 100
// messages.
constexpr int kMaxGraphDepth = 32;
constexpr size_t kMaxTensors = 10'000;
constexpr size_t kMaxRank = 32;

Status Damaged(const std::string& what) { return DataLoss("damaged ONNX model: " + what); }

std::optional<DType> DTypeOfOnnx(uint64_t elem_type) {
  switch (elem_type) {
    case 1:
      return DType::kFp32;
    case 2:
      return DType::kUint8;
    case 3:
      return DType::kInt8;
    case 4:
      return DType::kUint16;
    case 5:
      return DType::kInt16;
    case 6:
      return DType::kInt32;
    case 7:
      return DType::kInt64;
    case 8:
      return DType::kBytes;
    case 9:
      return DType::kBool;
    case 10:
      return DType::kFp16;
    case 11:
      return DType::kFp64;
    case 12:
      return DType::kUint32;
    case 13:
      return DType::kUint64;
    case 16:
      return DType::kBf16;
    default:
      return std::nullopt;
  }
}

// What a TensorProto says about itself, without its values.
struct TensorHeader {
  std::string_view name;
  uint64_t element_count = 1;
  bool external = false;
  std::string_view location;
  uint64_t offset = 0;
  uint64_t length = 0;
};

bool ParseNumber(std::string_view text, uint64_t* value) {
  if (text.empty()) return false;
  uint64_t sum = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    const auto next = CheckedMul<uint64_t>(sum, 10);
    const auto added = next ? CheckedAdd<uint64_t>(*next, static_cast<uint64_t>(c - '0')) : std::nullopt;
    if (!added) return false;
    sum = *added;
  }
  *value = sum;
  return true;
}

class OnnxWalker {
 public:
  Result<ModelFileInfo> Walk(Bytes model) {
    MLOS_RETURN_IF_ERROR(CheckOnnxStructure(model));
    ProtobufReader reader(model);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(7)) MLOS_RETURN_IF_ERROR(Graph(field.bytes, 0));      // graph
      if (field.IsBytes(25)) MLOS_RETURN_IF_ERROR(Nodes(field.bytes, 7, 0));  // functions: their nodes
    }
    return Finish();
  }

 private:
  Result<ModelFileInfo> Finish() {
    std::erase_if(inputs_, [&](const TensorSpec& spec) { return initializers_.contains(spec.name); });
    if (outputs_.empty()) return Damaged("the graph has no outputs");
    std::set<std::string> names;
    for (const TensorSpec& spec : inputs_) {
      if (!names.insert(spec.name).second)
        return Damaged("two inputs are called '" + Printable(spec.name) + "'");
    }
    names.clear();
    for (const TensorSpec& spec : outputs_) {
      if (!names.insert(spec.name).second)
        return Damaged("two outputs are called '" + Printable(spec.name) + "'");
    }
    ModelFileInfo info;
    info.format = FileFormat::kOnnx;
    info.inputs = std::move(inputs_);
    info.outputs = std::move(outputs_);
    info.parameter_count = parameter_count_;
    for (const auto& [file, min_bytes] : external_) {
      info.external_files.push_back(file);
      info.external_min_bytes.push_back(min_bytes);
    }
    return info;
  }

  // GraphProto. The top level (depth 0) declares the model's inputs and outputs.
  Status Graph(Bytes graph, int depth) {
    if (depth > kMaxGraphDepth)
      return Damaged("graphs are nested more than " + std::to_string(kMaxGraphDepth) + " levels deep");
    ProtobufReader reader(graph);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.type != WireType::kBytes) continue;
      switch (field.number) {
        case 1:  // node
          MLOS_RETURN_IF_ERROR(Node(field.bytes, depth));
          break;
        case 5:  // initializer
          MLOS_RETURN_IF_ERROR(Initializer(field.bytes, depth == 0));
          break;
        case 11:  // input
          if (depth == 0) MLOS_RETURN_IF_ERROR(Value(field.bytes, "input", &inputs_));
          break;
        case 12:  // output
          if (depth == 0) MLOS_RETURN_IF_ERROR(Value(field.bytes, "output", &outputs_));
          break;
        case 15:  // sparse_initializer
          MLOS_RETURN_IF_ERROR(SparseTensor(field.bytes, depth == 0));
          break;
        default:
          break;
      }
    }
    return reader.failed() ? Damaged("a graph is cut short or not protobuf") : OkStatus();
  }

  Status Nodes(Bytes function, uint32_t number, int depth) {
    ProtobufReader reader(function);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(number)) MLOS_RETURN_IF_ERROR(Node(field.bytes, depth));
    }
    return reader.failed() ? Damaged("a function is cut short or not protobuf") : OkStatus();
  }

  // NodeProto: only what its attributes carry.
  Status Node(Bytes node, int depth) {
    ProtobufReader reader(node);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(5)) MLOS_RETURN_IF_ERROR(Attribute(field.bytes, depth));  // attribute
    }
    return reader.failed() ? Damaged("a node is cut short or not protobuf") : OkStatus();
  }

  Status Attribute(Bytes attribute, int depth) {
    ProtobufReader reader(attribute);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(5) || field.IsBytes(10))
        MLOS_RETURN_IF_ERROR(Initializer(field.bytes, false));  // t, tensors
      if (field.IsBytes(6) || field.IsBytes(11))
        MLOS_RETURN_IF_ERROR(Graph(field.bytes, depth + 1));  // g, graphs
      if (field.IsBytes(22) || field.IsBytes(23))
        MLOS_RETURN_IF_ERROR(SparseTensor(field.bytes, false));  // sparse_tensor(s)
    }
    return reader.failed() ? Damaged("an attribute is cut short or not protobuf") : OkStatus();
  }

  Status SparseTensor(Bytes sparse, bool top) {
    ProtobufReader reader(sparse);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(1)) MLOS_RETURN_IF_ERROR(Initializer(field.bytes, top));    // values
      if (field.IsBytes(2)) MLOS_RETURN_IF_ERROR(Initializer(field.bytes, false));  // indices
    }
    return reader.failed() ? Damaged("a sparse tensor is cut short or not protobuf") : OkStatus();
  }

  Status Initializer(Bytes tensor, bool top) {
    MLOS_ASSIGN_OR_RETURN(const TensorHeader header, Header(tensor));
    if (top) {
      initializers_.insert(std::string(header.name));
      parameter_count_ = CheckedAdd(parameter_count_, header.element_count).value_or(parameter_count_);
    }
    return header.external ? External(header) : OkStatus();
  }

  static Result<TensorHeader> Header(Bytes tensor) {
    TensorHeader header;
    std::optional<uint64_t> count = 1;
    ProtobufReader reader(tensor);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsVarint(1) && count) count = CheckedMul(*count, field.value);  // dims
      if (field.IsBytes(1)) {                                                   // dims, packed
        ProtobufReader dims(field.bytes);
        for (uint64_t dim = 0; dims.NextVarint(&dim);) count = count ? CheckedMul(*count, dim) : std::nullopt;
        if (dims.failed()) return Damaged("a tensor's shape is cut short");
      }
      if (field.IsBytes(8)) header.name = field.text();            // name
      if (field.IsVarint(14)) header.external = field.value == 1;  // data_location: EXTERNAL
      if (field.IsBytes(13)) MLOS_RETURN_IF_ERROR(ExternalEntry(field.bytes, &header));
    }
    if (reader.failed())
      return Damaged("tensor '" + Printable(header.name) + "' is cut short or not protobuf");
    if (!count || *count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Damaged("tensor '" + Printable(header.name) + "' has a shape that overflows");
    }
    header.element_count = *count;
    return header;
  }

  // StringStringEntryProto of TensorProto.external_data.
  static Status ExternalEntry(Bytes entry, TensorHeader* header) {
    std::string_view key, value;
    ProtobufReader reader(entry);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(1)) key = field.text();
      if (field.IsBytes(2)) value = field.text();
    }
    bool good = !reader.failed();
    if (key == "location") header->location = value;
    if (key == "offset") good = good && ParseNumber(value, &header->offset);
    if (key == "length") good = good && ParseNumber(value, &header->length);
    return good ? OkStatus()
                : Damaged("external data of a tensor: " + Printable(key) + " is '" + Printable(value) + "'");
  }

  Status External(const TensorHeader& header) {
    std::string_view location = header.location;
    while (location.starts_with("./")) location.remove_prefix(2);
    if (const Status status = CheckPackagePath(location); !status.ok()) {
      return Damaged("external data of tensor '" + Printable(header.name) + "': " + status.message());
    }
    const auto end = CheckedAdd(header.offset, header.length);
    if (!end) return Damaged("external data of tensor '" + Printable(header.name) + "' ends beyond 2^64");
    uint64_t& needed = external_[std::string(location)];
    needed = std::max(needed, *end);
    return OkStatus();
  }

  // ValueInfoProto.
  Status Value(Bytes value, const std::string& role, std::vector<TensorSpec>* specs) {
    if (specs->size() >= kMaxTensors)
      return Damaged("more than " + std::to_string(kMaxTensors) + " " + role + "s");
    TensorSpec spec;
    Bytes type;
    ProtobufReader reader(value);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (field.IsBytes(1)) spec.name = field.text();         // name
      if (field.IsBytes(2)) type = field.bytes;               // type
      if (field.IsBytes(3)) spec.description = field.text();  // doc_string
    }
    if (reader.failed() || spec.name.empty() || !IsUtf8(spec.name))
      return Damaged("an " + role + " has no readable name");
    if (!IsUtf8(spec.description)) spec.description.clear();
    MLOS_RETURN_IF_ERROR(Type(type, role + " '" + Printable(spec.name) + "'", &spec));
    specs->push_back(std::move(spec));
    return OkStatus();
  }

  // TypeProto.
  static Status Type(Bytes type, const std::string& who, TensorSpec* spec) {
    ProtobufReader reader(type);
    ProtobufField field;
    Bytes tensor;
    bool has_tensor = false;
    while (reader.Next(&field)) {
      if (field.IsBytes(1)) {  // tensor_type
        tensor = field.bytes;
        has_tensor = true;
      }
      static const std::map<uint32_t, std::string> kOthers = {{4, "a sequence"},
                                                              {5, "a map"},
                                                              {7, "an opaque value"},
                                                              {8, "a sparse tensor"},
                                                              {9, "an optional value"}};
      const auto other = kOthers.find(field.number);
      if (other != kOthers.end())
        return Unimplemented(who + " is " + other->second + "; mlOS serves tensors only");
    }
    if (reader.failed() || !has_tensor) return Damaged(who + " has no type");
    return TensorType(tensor, who, spec);
  }

  // TypeProto.Tensor.
  static Status TensorType(Bytes tensor, const std::string& who, TensorSpec* spec) {
    ProtobufReader reader(tensor);
    ProtobufField field;
    uint64_t elem_type = 0;
    bool has_shape = false;
    while (reader.Next(&field)) {
      if (field.IsVarint(1)) elem_type = field.value;  // elem_type
      if (field.IsBytes(2)) {                          // shape
        has_shape = true;
        MLOS_RETURN_IF_ERROR(ShapeOf(field.bytes, who, spec));
      }
    }
    if (reader.failed() || elem_type == 0) return Damaged(who + " has no element type");
    const auto dtype = DTypeOfOnnx(elem_type);
    if (!dtype)
      return Unimplemented(who + " has ONNX element type " + std::to_string(elem_type) +
                           ", which mlOS has no tensors of");
    spec->dtype = *dtype;
    if (!has_shape && spec->description.empty()) spec->description = "the model does not declare the rank";
    return OkStatus();
  }

  // TensorShapeProto.
  static Status ShapeOf(Bytes shape, const std::string& who, TensorSpec* spec) {
    spec->shape.clear();
    spec->dim_names.clear();
    ProtobufReader reader(shape);
    ProtobufField field;
    while (reader.Next(&field)) {
      if (!field.IsBytes(1)) continue;  // dim
      if (spec->shape.size() >= kMaxRank)
        return Damaged(who + " has more than " + std::to_string(kMaxRank) + " dimensions");
      int64_t size = -1;
      std::string name;
      ProtobufReader dim(field.bytes);
      ProtobufField part;
      while (dim.Next(&part)) {
        if (part.IsVarint(1)) size = std::max<int64_t>(-1, static_cast<int64_t>(part.value));  // dim_value
        if (part.IsBytes(2)) name = part.text();                                               // dim_param
      }
      if (dim.failed()) return Damaged(who + " has a damaged shape");
      spec->shape.push_back(size);
      spec->dim_names.push_back(size < 0 && IsUtf8(name) ? name : "");
    }
    return reader.failed() ? Damaged(who + " has a damaged shape") : OkStatus();
  }

  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::set<std::string> initializers_;
  std::map<std::string, uint64_t> external_;  // file -> bytes it must have
  uint64_t parameter_count_ = 0;
};

}  // namespace

Status CheckOnnxStructure(Bytes model) {
  // ModelProto: 1 ir_version and 5 model_version are numbers, the others messages and texts.
  static const std::set<uint32_t> kMessages = {2, 3, 4, 6, 7, 8, 14, 20, 25, 26};
  uint64_t ir_version = 0;
  bool has_graph = false, has_opset = false;
  ProtobufReader reader(model);
  ProtobufField field;
  for (size_t at = 0; reader.Next(&field); at = model.size() - reader.rest()) {
    const bool known = field.IsVarint(1) || field.IsVarint(5) ||
                       (field.type == WireType::kBytes && kMessages.contains(field.number));
    if (!known)
      return Damaged("unknown field " + std::to_string(field.number) + " at byte " + std::to_string(at));
    if (field.number == 1) ir_version = field.value;
    has_graph = has_graph || field.number == 7;
    has_opset = has_opset || field.number == 8;
  }
  if (reader.failed()) {
    return Damaged("the field at byte " + std::to_string(model.size() - reader.rest()) +
                   " does not fit into the file of " + std::to_string(model.size()) + " bytes (cut short?)");
  }
  if (ir_version == 0 || ir_version > 1000) return Damaged("it has no IR version");
  if (!has_graph) return Damaged("it has no graph");
  if (!has_opset && ir_version >= 3) return Damaged("it names no operator set (cut short?)");
  return OkStatus();
}

Result<ModelFileInfo> InspectOnnx(Bytes model) { return OnnxWalker().Walk(model); }

}  // namespace mlos::package
