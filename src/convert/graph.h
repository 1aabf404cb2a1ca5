// SPDX-License-Identifier: Apache-2.0
// Builds an ONNX graph whose weights stay where the checkpoint has them (external data: file, offset, length).
//
//   GraphBuilder g(checkpoint);
//   Value x = g.Input("x", DType::kFp32, {"batch_size", 16});
//   Value y = g.Op("Gemm", {x, g.Weight("dense.weight", {8, 16}), g.Weight("dense.bias", {8})}, {{"transB", 1}});
//   g.Output("y", y, DType::kFp32, {"batch_size", 8});
//   Result<BuiltModel> model = g.Finish({...});
//
// A model of several graphs (encoder, decoder ...) calls StartGraph before each of them.
// The first error sticks: later calls do nothing harmful and Finish returns it, so that builders read as straight lines.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "convert/checkpoint.h"
#include "convert/convert.h"
#include "convert/onnx_proto.h"
#include "infer/model_interface.h"

namespace mlos::convert {

// A tensor in the graph.
struct Value {
  std::string name;
};

// A dimension of an input or output: a size, or the name of a free one.
struct Dim {
  Dim(int64_t fixed) : size(fixed) {}                  // NOLINT(google-explicit-constructor)
  Dim(int fixed) : size(fixed) {}                      // NOLINT(google-explicit-constructor)
  Dim(const char* symbol) : size(-1), name(symbol) {}  // NOLINT(google-explicit-constructor)
  int64_t size;
  std::string name;
};

struct Attribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

// Tensors of the checkpoint that the graph may leave alone: names that start with `prefix` and end with `suffix`.
struct IgnoreRule {
  std::string prefix;
  std::string suffix;
  std::string reason;
};

// Just the one named so.
inline IgnoreRule IgnoreTensor(const std::string& name, std::string reason) {
  return {name, name, std::move(reason)};
}

struct BuiltModel {
  std::vector<ConvertedGraph> graphs;
  std::vector<std::string> source_files;
  std::vector<std::string> used_tensors;
  std::vector<std::string> ignored_tensors;  // "name (reason)"
  std::vector<SideCarPiece> side_car;
  uint64_t parameter_count = 0;
  uint64_t int8_tensors = 0;
};

class GraphBuilder {
 public:
  // `checkpoint` must outlive the builder.
  explicit GraphBuilder(const Checkpoint& checkpoint, std::string side_car_file);

  // What follows goes to `file`; `type` is what execution_files of the manifest call it. Values of the graph before are not
  // known in this one; weights may be used in several. Without a call everything goes to kGraphFile, "single".
  void StartGraph(std::string file, std::string type);

  Value Input(std::string name, DType dtype, std::vector<Dim> dims);
  void Output(std::string name, const Value& value, DType dtype, std::vector<Dim> dims);

  // A node with one output.
  Value Op(std::string_view type, std::initializer_list<Value> inputs,
           std::vector<Attribute> attributes = {});
  Value Op(std::string_view type, const std::vector<Value>& inputs, std::vector<Attribute> attributes = {});

  // Parts of these sizes along an axis.
  std::vector<Value> Split(const Value& x, int64_t axis, const std::vector<int64_t>& sizes);

  // True when the checkpoint has the tensor (also under its legacy name).
  bool Has(std::string_view name) const;
  // Its shape; an error that sticks and an empty shape when it is missing.
  Shape ShapeOf(std::string_view name);
  // True when both tensors are there with the same dtype, shape and bytes. Reads them.
  bool SameBytes(std::string_view a, std::string_view b) const;
  // The tensor as FP32 (cast in the graph when stored as F16, BF16 or F64). `shape` is checked; -1 = any size.
  Value Weight(std::string_view name, const Shape& shape);
  // What UseInt8 asks for: linear layers take their weights by Int8Weight where that gives one.
  void UseInt8() { use_int8_ = true; }
  struct Int8 {
    Value values;  // INT8 [in, out]
    Value scales;  // FP32 [out]
  };
  // Nothing without UseInt8, and for matrices too small to gain.
  std::optional<Int8> Int8Weight(std::string_view name, const Shape& shape);
  // x in whole numbers: values UINT8, scale FP32, zero point UINT8. Once for each x.
  struct Quantized {
    Value values, scale, zero_point;
  };
  Quantized QuantizeActivations(const Value& x);

  // The same in its stored type, to be cast after a Gather. `*stored` is its type.
  Value StoredWeight(std::string_view name, const Shape& shape, DType* stored);

  // Constants are kept once.
  Value Float(float value);                        // rank 0
  Value Int(int64_t value);                        // rank 0
  Value Ints(const std::vector<int64_t>& values);  // rank 1
  // A longer one, [values.size()], under a name that must be different for different values.
  Value IntTable(const std::string& name, const std::vector<int64_t>& values);
  Value FloatTable(const std::string& name, const std::vector<float>& values);

  // Prefix of the names of the nodes that follow, for profiles and messages.
  void SetScope(std::string scope) { scope_ = std::move(scope); }
  void Fail(Status status);
  const Status& status() const { return status_; }

  // The model. kUnimplemented when a tensor of the checkpoint is neither used nor covered by `ignore`.
  Result<BuiltModel> Finish(const std::vector<IgnoreRule>& ignore) &&;

 private:
  // Of the graph that is being built.
  struct Graph {
    std::string file = kGraphFile;
    std::string type = "single";
    ProtoWriter nodes;
    ProtoWriter initializers;
    std::set<std::string> initializer_names;  // of the checkpoint's tensors
    std::vector<TensorSpec> inputs;
    std::vector<TensorSpec> outputs;
    std::map<std::string, Value> constants;
    std::map<std::string, Value> weights;        // by stored name: as FP32
    std::map<std::string, Quantized> quantized;  // by name of the value
    uint64_t next_node = 0;
  };

  // Legacy spellings: LayerNorm.gamma/beta. Null when missing.
  const CheckpointTensor* Find(std::string_view name, std::string* found_name) const;
  Value Constant(const std::string& key, DType dtype, const Shape& shape, std::string_view bytes);
  void WriteExternal(const std::string& name, const CheckpointTensor& tensor);
  // Where the bytes lie in the side-car; put there when they are not yet.
  uint64_t SideCarOffset(const std::string& name, const CheckpointTensor& tensor);
  // The same for another form of it.
  uint64_t SideCarOffset(const std::string& key, const CheckpointTensor& tensor, SideCarPiece::Form form,
                         uint64_t size_bytes);
  void WriteInitializer(const std::string& name, DType dtype, const Shape& shape, const std::string& location,
                        uint64_t offset, uint64_t size_bytes);
  TensorSpec Spec(std::string name, DType dtype, const std::vector<Dim>& dims) const;
  void CloseGraph();
  Status CheckAllUsed(const std::vector<IgnoreRule>& ignore, BuiltModel* built) const;

  const Checkpoint& checkpoint_;
  const std::string side_car_file_;
  Status status_;
  Graph graph_;
  std::vector<ConvertedGraph> closed_;
  std::set<std::string> used_;  // names in the checkpoint
  std::set<size_t> used_files_;
  std::vector<SideCarPiece> side_car_;
  std::map<std::string, uint64_t> side_car_offsets_;  // by name in the checkpoint
  uint64_t side_car_bytes_ = 0;
  uint64_t parameter_count_ = 0;
  bool use_int8_ = false;
  std::set<std::string> int8_;  // names in the checkpoint
  std::string scope_;
};

}  // namespace mlos::convert
