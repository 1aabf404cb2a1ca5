// SPDX-License-Identifier: Apache-2.0
// Writes protobuf wire format, as far as ONNX needs it: varints, 32-bit floats, strings, nested messages.
//
//   ProtoWriter node;
//   node.String(onnx::kNodeOpType, "Gemm");
//   graph.Message(onnx::kGraphNode, node);
//
// Field numbers are those of onnx.proto (IR version 9, opset 20).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace mlos::convert {

class ProtoWriter {
 public:
  void Int(uint32_t field, int64_t value);
  void Float(uint32_t field, float value);
  void String(uint32_t field, std::string_view value);
  void Message(uint32_t field, const ProtoWriter& message) { String(field, message.bytes_); }

  const std::string& bytes() const { return bytes_; }
  std::string Take() && { return std::move(bytes_); }

 private:
  void Varint(uint64_t value);

  std::string bytes_;
};

namespace onnx {

inline constexpr int64_t kIrVersion = 9;
inline constexpr int64_t kOpset = 20;

inline constexpr uint32_t kModelIrVersion = 1, kModelProducerName = 2, kModelGraph = 7, kModelOpsetImport = 8;
inline constexpr uint32_t kOpsetVersion = 2;
inline constexpr uint32_t kGraphNode = 1, kGraphName = 2, kGraphInitializer = 5, kGraphInput = 11,
                          kGraphOutput = 12;
inline constexpr uint32_t kNodeInput = 1, kNodeOutput = 2, kNodeName = 3, kNodeOpType = 4, kNodeAttribute = 5;
inline constexpr uint32_t kAttributeName = 1, kAttributeF = 2, kAttributeI = 3, kAttributeS = 4,
                          kAttributeInts = 8, kAttributeType = 20;
inline constexpr int64_t kTypeFloat = 1, kTypeInt = 2, kTypeString = 3, kTypeInts = 7;
inline constexpr uint32_t kTensorDims = 1, kTensorDataType = 2, kTensorName = 8, kTensorRawData = 9,
                          kTensorExternalData = 13, kTensorDataLocation = 14;
inline constexpr int64_t kLocationExternal = 1;
inline constexpr uint32_t kEntryKey = 1, kEntryValue = 2;
inline constexpr uint32_t kValueName = 1, kValueType = 2, kTypeTensor = 1, kTensorTypeElem = 1,
                          kTensorTypeShape = 2, kShapeDim = 1, kDimValue = 1, kDimParam = 2;

// TensorProto.DataType of a dtype.
int64_t DataType(DType dtype);

}  // namespace onnx
}  // namespace mlos::convert
