// SPDX-License-Identifier: Apache-2.0
#include "convert/graph.h"

#include <bit>
#include <cstring>
#include <utility>

namespace mlos::convert {
namespace {

constexpr uint64_t kSideCarAlignment = 64;
constexpr int64_t kSmallestInt8 = 16;  // rows and columns of a matrix

static_assert(std::endian::native == std::endian::little, "raw tensor data is little-endian");

bool ShapeMatches(const Shape& wanted, const Shape& found) {
  if (wanted.size() != found.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != -1 && wanted[i] != found[i]) return false;
  }
  return true;
}

ProtoWriter ValueInfo(const TensorSpec& spec) {
  ProtoWriter shape;
  for (size_t i = 0; i < spec.shape.size(); ++i) {
    ProtoWriter dim;
    if (spec.shape[i] >= 0) {
      dim.Int(onnx::kDimValue, spec.shape[i]);
    } else {
      dim.String(onnx::kDimParam, spec.dim_names[i]);
    }
    shape.Message(onnx::kShapeDim, dim);
  }
  ProtoWriter tensor;
  tensor.Int(onnx::kTensorTypeElem, onnx::DataType(spec.dtype));
  tensor.Message(onnx::kTensorTypeShape, shape);
  ProtoWriter type;
  type.Message(onnx::kTypeTensor, tensor);
  ProtoWriter info;
  info.String(onnx::kValueName, spec.name);
  info.Message(onnx::kValueType, type);
  return info;
}

ProtoWriter AttributeMessage(const Attribute& attribute) {
  ProtoWriter message;
  message.String(onnx::kAttributeName, attribute.name);
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    message.Int(onnx::kAttributeI, *i);
    message.Int(onnx::kAttributeType, onnx::kTypeInt);
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    message.Float(onnx::kAttributeF, *f);
    message.Int(onnx::kAttributeType, onnx::kTypeFloat);
  } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
    message.String(onnx::kAttributeS, *s);
    message.Int(onnx::kAttributeType, onnx::kTypeString);
  } else {
    for (const int64_t i64 : std::get<std::vector<int64_t>>(attribute.value))
      message.Int(onnx::kAttributeInts, i64);
    message.Int(onnx::kAttributeType, onnx::kTypeInts);
  }
  return message;
}

ProtoWriter ExternalEntry(std::string_view key, std::string_view value) {
  ProtoWriter entry;
  entry.String(onnx::kEntryKey, key);
  entry.String(onnx::kEntryValue, value);
  return entry;
}

ProtoWriter TensorHead(std::string_view name, DType dtype, const Shape& shape) {
  ProtoWriter tensor;
  for (const int64_t size : shape) tensor.Int(onnx::kTensorDims, size);
  tensor.Int(onnx::kTensorDataType, onnx::DataType(dtype));
  tensor.String(onnx::kTensorName, name);
  return tensor;
}

std::string LegacyName(std::string_view name) {
  for (const auto& [now, before] :
       {std::pair<std::string_view, std::string_view>{"LayerNorm.weight", "LayerNorm.gamma"},
        {"LayerNorm.bias", "LayerNorm.beta"}}) {
    if (name.ends_with(now))
      return std::string(name.substr(0, name.size() - now.size())) + std::string(before);
  }
  return {};
}

}  // namespace

GraphBuilder::GraphBuilder(const Checkpoint& checkpoint, std::string side_car_file)
    : checkpoint_(checkpoint), side_car_file_(std::move(side_car_file)) {}

void GraphBuilder::Fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void GraphBuilder::StartGraph(std::string file, std::string type) {
  CloseGraph();
  graph_.file = std::move(file);
  graph_.type = std::move(type);
}

TensorSpec GraphBuilder::Spec(std::string name, DType dtype, const std::vector<Dim>& dims) const {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.dtype = dtype;
  for (const Dim& dim : dims) {
    spec.shape.push_back(dim.size);
    spec.dim_names.push_back(dim.name);
  }
  return spec;
}

Value GraphBuilder::Input(std::string name, DType dtype, std::vector<Dim> dims) {
  graph_.inputs.push_back(Spec(std::move(name), dtype, dims));
  return {graph_.inputs.back().name};
}

void GraphBuilder::Output(std::string name, const Value& value, DType dtype, std::vector<Dim> dims) {
  graph_.outputs.push_back(Spec(std::move(name), dtype, dims));
  ProtoWriter node;
  node.String(onnx::kNodeInput, value.name);
  node.String(onnx::kNodeOutput, graph_.outputs.back().name);
  node.String(onnx::kNodeName, "output/" + graph_.outputs.back().name);
  node.String(onnx::kNodeOpType, "Identity");
  graph_.nodes.Message(onnx::kGraphNode, node);
}

Value GraphBuilder::Op(std::string_view type, std::initializer_list<Value> inputs,
                       std::vector<Attribute> attributes) {
  return Op(type, std::vector<Value>(inputs), std::move(attributes));
}

Value GraphBuilder::Op(std::string_view type, const std::vector<Value>& inputs,
                       std::vector<Attribute> attributes) {
  // '#' is in no checkpoint's tensor name that we know; inputs and outputs have no scope. So names cannot collide.
  Value output{scope_ + "#" + std::string(type) + std::to_string(graph_.next_node++)};
  ProtoWriter node;
  for (const Value& input : inputs) node.String(onnx::kNodeInput, input.name);
  node.String(onnx::kNodeOutput, output.name);
  node.String(onnx::kNodeName, output.name);
  node.String(onnx::kNodeOpType, type);
  for (const Attribute& attribute : attributes)
    node.Message(onnx::kNodeAttribute, AttributeMessage(attribute));
  graph_.nodes.Message(onnx::kGraphNode, node);
  return output;
}

std::vector<Value> GraphBuilder::Split(const Value& x, int64_t axis, const std::vector<int64_t>& sizes) {
  const Value lengths = Ints(sizes);
  std::vector<Value> parts;
  ProtoWriter node;
  node.String(onnx::kNodeInput, x.name);
  node.String(onnx::kNodeInput, lengths.name);
  const std::string name = scope_ + "#Split" + std::to_string(graph_.next_node++);
  for (size_t i = 0; i < sizes.size(); ++i) {
    parts.push_back({name + "." + std::to_string(i)});
    node.String(onnx::kNodeOutput, parts.back().name);
  }
  node.String(onnx::kNodeName, name);
  node.String(onnx::kNodeOpType, "Split");
  node.Message(onnx::kNodeAttribute, AttributeMessage({"axis", axis}));
  graph_.nodes.Message(onnx::kGraphNode, node);
  return parts;
}

const CheckpointTensor* GraphBuilder::Find(std::string_view name, std::string* found_name) const {
  for (const std::string& candidate : {std::string(name), LegacyName(name)}) {
    if (candidate.empty()) continue;
    if (const CheckpointTensor* tensor = checkpoint_.Find(candidate); tensor != nullptr) {
      *found_name = candidate;
      return tensor;
    }
  }
  return nullptr;
}

bool GraphBuilder::Has(std::string_view name) const {
  std::string found_name;
  return Find(name, &found_name) != nullptr;
}

Shape GraphBuilder::ShapeOf(std::string_view name) {
  std::string found_name;
  const CheckpointTensor* tensor = Find(name, &found_name);
  if (tensor != nullptr) return tensor->entry.shape;
  Fail(DataLoss("the checkpoint has no tensor '" + std::string(name) + "'"));
  return {};
}

bool GraphBuilder::SameBytes(std::string_view a, std::string_view b) const {
  std::string found_name;
  const CheckpointTensor* x = Find(a, &found_name);
  const CheckpointTensor* y = Find(b, &found_name);
  if (x == nullptr || y == nullptr || x->entry.dtype != y->entry.dtype || x->entry.shape != y->entry.shape)
    return false;
  return std::memcmp(checkpoint_.Bytes(*x).data(), checkpoint_.Bytes(*y).data(), x->entry.size_bytes) == 0;
}

uint64_t GraphBuilder::SideCarOffset(const std::string& name, const CheckpointTensor& tensor) {
  return SideCarOffset(name, tensor, SideCarPiece::Form::kSame, tensor.entry.size_bytes);
}

uint64_t GraphBuilder::SideCarOffset(const std::string& key, const CheckpointTensor& tensor,
                                     SideCarPiece::Form form, uint64_t size_bytes) {
  const auto [known, is_new] = side_car_offsets_.try_emplace(key);
  if (is_new) {
    known->second = (side_car_bytes_ + kSideCarAlignment - 1) / kSideCarAlignment * kSideCarAlignment;
    const TensorEntry& entry = tensor.entry;
    side_car_.push_back({checkpoint_.files()[tensor.file], entry.offset, size_bytes, known->second,
                         entry.dtype, entry.shape, entry.strides, form});
    side_car_bytes_ = known->second + size_bytes;
  }
  return known->second;
}

void GraphBuilder::WriteInitializer(const std::string& name, DType dtype, const Shape& shape,
                                    const std::string& location, uint64_t offset, uint64_t size_bytes) {
  ProtoWriter proto = TensorHead(name, dtype, shape);
  proto.Message(onnx::kTensorExternalData, ExternalEntry("location", location));
  proto.Message(onnx::kTensorExternalData, ExternalEntry("offset", std::to_string(offset)));
  proto.Message(onnx::kTensorExternalData, ExternalEntry("length", std::to_string(size_bytes)));
  proto.Int(onnx::kTensorDataLocation, onnx::kLocationExternal);
  graph_.initializers.Message(onnx::kGraphInitializer, proto);
}

void GraphBuilder::WriteExternal(const std::string& name, const CheckpointTensor& tensor) {
  const TensorEntry& entry = tensor.entry;
  used_files_.insert(tensor.file);
  if (entry.offset % DTypeSize(entry.dtype) == 0 && entry.strides.empty()) {
    WriteInitializer(name, entry.dtype, entry.shape, checkpoint_.files()[tensor.file], entry.offset,
                     entry.size_bytes);
  } else {
    WriteInitializer(name, entry.dtype, entry.shape, side_car_file_, SideCarOffset(name, tensor),
                     entry.size_bytes);
  }
}

std::optional<GraphBuilder::Int8> GraphBuilder::Int8Weight(std::string_view name, const Shape& shape) {
  std::string found_name;
  const CheckpointTensor* tensor = use_int8_ ? Find(name, &found_name) : nullptr;
  // Whatever is wrong with the tensor is said by Weight.
  if (tensor == nullptr || !ShapeMatches(shape, tensor->entry.shape) || !IsFloatingPoint(tensor->entry.dtype))
    return {};
  const Shape& found = tensor->entry.shape;
  if (found.size() != 2 || found[0] < kSmallestInt8 || found[1] < kSmallestInt8) return {};
  const auto elements = static_cast<uint64_t>(found[0]) * static_cast<uint64_t>(found[1]);
  const Int8 weight = {{found_name + "#int8"}, {found_name + "#scales"}};
  used_files_.insert(tensor->file);
  if (int8_.insert(found_name).second && used_.insert(found_name).second) parameter_count_ += elements;
  if (!graph_.initializer_names.insert(weight.values.name).second) return weight;
  const auto scale_bytes = static_cast<uint64_t>(found[0]) * sizeof(float);
  WriteInitializer(weight.values.name, DType::kInt8, {found[1], found[0]}, side_car_file_,
                   SideCarOffset(weight.values.name, *tensor, SideCarPiece::Form::kInt8, elements), elements);
  WriteInitializer(weight.scales.name, DType::kFp32, {found[0]}, side_car_file_,
                   SideCarOffset(weight.scales.name, *tensor, SideCarPiece::Form::kInt8Scales, scale_bytes),
                   scale_bytes);
  return weight;
}

GraphBuilder::Quantized GraphBuilder::QuantizeActivations(const Value& x) {
  const auto [known, is_new] = graph_.quantized.try_emplace(x.name);
  if (!is_new) return known->second;
  const std::string name = scope_ + "#DynamicQuantizeLinear" + std::to_string(graph_.next_node++);
  known->second = {{name}, {name + "_scale"}, {name + "_zero_point"}};
  ProtoWriter node;
  node.String(onnx::kNodeInput, x.name);
  for (const Value& output : {known->second.values, known->second.scale, known->second.zero_point})
    node.String(onnx::kNodeOutput, output.name);
  node.String(onnx::kNodeName, name);
  node.String(onnx::kNodeOpType, "DynamicQuantizeLinear");
  graph_.nodes.Message(onnx::kGraphNode, node);
  return known->second;
}

Value GraphBuilder::StoredWeight(std::string_view name, const Shape& shape, DType* stored) {
  *stored = DType::kFp32;
  std::string found_name;
  const CheckpointTensor* tensor = Find(name, &found_name);
  if (tensor == nullptr) {
    Fail(DataLoss("the checkpoint has no tensor '" + std::string(name) + "'"));
    return {};
  }
  const TensorEntry& entry = tensor->entry;
  if (!ShapeMatches(shape, entry.shape)) {
    Fail(DataLoss("tensor '" + found_name + "' has shape " + ShapeToString(entry.shape) +
                  ", config.json asks for " + ShapeToString(shape)));
    return {};
  }
  if (!IsFloatingPoint(entry.dtype)) {
    Fail(Unimplemented("tensor '" + found_name + "' holds " + std::string(DTypeName(entry.dtype)) +
                       "; weights may be F32, F16, BF16 or F64 (a quantised checkpoint?)"));
    return {};
  }
  *stored = entry.dtype;
  if (graph_.initializer_names.insert(found_name).second) WriteExternal(found_name, *tensor);
  if (used_.insert(found_name).second) parameter_count_ += entry.size_bytes / DTypeSize(entry.dtype);
  return {found_name};
}

Value GraphBuilder::Weight(std::string_view name, const Shape& shape) {
  DType stored = DType::kFp32;
  Value weight = StoredWeight(name, shape, &stored);
  if (stored == DType::kFp32) return weight;
  const auto [known, is_new] = graph_.weights.try_emplace(weight.name);
  if (is_new) known->second = Op("Cast", {weight}, {{"to", onnx::DataType(DType::kFp32)}});
  return known->second;
}

Value GraphBuilder::Constant(const std::string& key, DType dtype, const Shape& shape,
                             std::string_view bytes) {
  const auto [known, is_new] = graph_.constants.try_emplace(key, Value{"#" + key});
  if (is_new) {
    ProtoWriter tensor = TensorHead(known->second.name, dtype, shape);
    tensor.String(onnx::kTensorRawData, bytes);
    graph_.initializers.Message(onnx::kGraphInitializer, tensor);
  }
  return known->second;
}

Value GraphBuilder::Float(float value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return Constant("float" + std::to_string(std::bit_cast<uint32_t>(value)), DType::kFp32, {}, bytes);
}

Value GraphBuilder::Int(int64_t value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return Constant("int" + std::to_string(value), DType::kInt64, {}, bytes);
}

Value GraphBuilder::Ints(const std::vector<int64_t>& values) {
  return IntTable("ints" + ShapeToString(values), values);
}

Value GraphBuilder::IntTable(const std::string& name, const std::vector<int64_t>& values) {
  std::string bytes(values.size() * sizeof(int64_t), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return Constant(name, DType::kInt64, {static_cast<int64_t>(values.size())}, bytes);
}

Value GraphBuilder::FloatTable(const std::string& name, const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return Constant(name, DType::kFp32, {static_cast<int64_t>(values.size())}, bytes);
}

Status GraphBuilder::CheckAllUsed(const std::vector<IgnoreRule>& ignore, BuiltModel* built) const {
  for (const auto& [name, tensor] : checkpoint_.tensors()) {
    if (used_.contains(name)) continue;
    const IgnoreRule* matching = nullptr;
    for (const IgnoreRule& rule : ignore) {
      if (name.starts_with(rule.prefix) && name.ends_with(rule.suffix)) matching = &rule;
      if (matching != nullptr) break;
    }
    if (matching == nullptr) {
      return Unimplemented(
          "tensor '" + name + "' " + ShapeToString(tensor.entry.shape) +
          " of the checkpoint has no place in the graph: the model is not what config.json says, or has "
          "parts that are not supported");
    }
    built->ignored_tensors.push_back(name + " (" + matching->reason + ")");
  }
  return OkStatus();
}

void GraphBuilder::CloseGraph() {
  Graph done = std::exchange(graph_, {});
  scope_.clear();
  if (done.outputs.empty()) return;
  ProtoWriter values;
  for (const TensorSpec& spec : done.inputs) values.Message(onnx::kGraphInput, ValueInfo(spec));
  for (const TensorSpec& spec : done.outputs) values.Message(onnx::kGraphOutput, ValueInfo(spec));
  ProtoWriter name;
  name.String(onnx::kGraphName, "mlos");
  // Fields of one message written one after another are that message.
  const std::string graph = done.nodes.bytes() + name.bytes() + done.initializers.bytes() + values.bytes();

  ProtoWriter opset;
  opset.Int(onnx::kOpsetVersion, onnx::kOpset);
  ProtoWriter model;
  model.Int(onnx::kModelIrVersion, onnx::kIrVersion);
  model.String(onnx::kModelProducerName, "mlos");
  model.String(onnx::kModelGraph, graph);
  model.Message(onnx::kModelOpsetImport, opset);
  closed_.push_back({std::move(done.file), std::move(done.type), std::move(model).Take(),
                     std::move(done.inputs), std::move(done.outputs)});
}

Result<BuiltModel> GraphBuilder::Finish(const std::vector<IgnoreRule>& ignore) && {
  if (!status_.ok()) return status_;
  BuiltModel built;
  MLOS_RETURN_IF_ERROR(CheckAllUsed(ignore, &built));
  CloseGraph();
  built.graphs = std::move(closed_);
  for (const size_t file : used_files_) built.source_files.push_back(checkpoint_.files()[file]);
  built.used_tensors.assign(used_.begin(), used_.end());
  built.side_car = std::move(side_car_);
  built.parameter_count = parameter_count_;
  built.int8_tensors = int8_.size();
  return built;
}

}  // namespace mlos::convert
