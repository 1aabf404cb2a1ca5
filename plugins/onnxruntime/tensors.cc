// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "errors.h"
#include "model.h"

namespace mlos_ort {
namespace {

struct TypePair {
  smi_dtype dtype;
  ONNXTensorElementDataType type;
};
constexpr TypePair kTypes[] = {
    {SMI_BOOL, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},     {SMI_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {SMI_UINT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16}, {SMI_UINT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {SMI_UINT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64}, {SMI_INT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {SMI_INT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},   {SMI_INT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {SMI_INT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},   {SMI_FP16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {SMI_BF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16}, {SMI_FP32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {SMI_FP64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},   {SMI_BYTES, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING},
};

std::string ShapeText(const int64_t* shape, size_t rank) {
  std::string out = "[";
  for (size_t i = 0; i < rank; ++i) out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

Ort::Value StringValue(const smi_tensor& tensor) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Ort::Value value =
      Ort::Value::CreateTensor(allocator, tensor.shape, tensor.rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
  const char* at = static_cast<const char*>(tensor.data);
  const size_t count = value.GetTensorTypeAndShapeInfo().GetElementCount();
  for (size_t i = 0; i < count; ++i) {
    uint32_t length = 0;
    std::memcpy(&length, at, sizeof length);
    at += sizeof length;
    // Not FillStringTensor: it stops at a zero byte.
    char* element = value.GetResizedStringTensorElementBuffer(i, length);
    if (length > 0) std::memcpy(element, at, length);
    at += length;
  }
  return value;
}

// Lengths and bytes as SMI_BYTES has them.
std::vector<char> EncodeStrings(const Ort::Value& value, size_t count) {
  const size_t total = count == 0 ? 0 : value.GetStringTensorDataLength();
  std::vector<char> text(total + 1);
  std::vector<size_t> offsets(count + 1, total);
  if (count > 0) value.GetStringTensorContent(text.data(), total, offsets.data(), count);
  offsets[count] = total;
  std::vector<char> out;
  out.reserve(total + count * sizeof(uint32_t));
  for (size_t i = 0; i < count; ++i) {
    const size_t size = offsets[i + 1] - offsets[i];
    if (size > UINT32_MAX) throw Failure(SMI_UNSUPPORTED, "an output string of more than 4 GiB");
    const auto length = static_cast<uint32_t>(size);
    const char* prefix = reinterpret_cast<const char*>(&length);
    out.insert(out.end(), prefix, prefix + sizeof length);
    out.insert(out.end(), text.data() + offsets[i], text.data() + offsets[i + 1]);
  }
  return out;
}

template <typename T>
void Fill(Ort::Value& value, T one, size_t count) {
  std::fill_n(static_cast<T*>(value.GetTensorMutableRawData()), count, one);
}

}  // namespace

smi_dtype DTypeOf(ONNXTensorElementDataType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.type == type) return pair.dtype;
  }
  return SMI_DTYPE_INVALID;
}

ONNXTensorElementDataType TypeOf(smi_dtype dtype) {
  for (const TypePair& pair : kTypes) {
    if (pair.dtype == dtype) return pair.type;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

void CheckFit(const Port& port, const smi_tensor& tensor) {
  bool fits = tensor.dtype == port.dtype && tensor.rank == port.shape.size();
  for (size_t i = 0; fits && i < port.shape.size(); ++i)
    fits = port.shape[i] < 0 || port.shape[i] == tensor.shape[i];
  if (fits) return;
  throw Failure(SMI_BAD_INPUT, "input '" + port.name + "': wanted " + ToString(port) + ", got " +
                                   smi_dtype_name(tensor.dtype) + " " + ShapeText(tensor.shape, tensor.rank));
}

Ort::Value ToValue(const smi_tensor& tensor, const OrtMemoryInfo* memory) {
  if (tensor.dtype == SMI_BYTES) return StringValue(tensor);
  // The engine refuses a null pointer even for no elements.
  static char nothing[64];
  void* data = tensor.size_bytes == 0 ? nothing : tensor.data;
  return Ort::Value::CreateTensor(memory, data, tensor.size_bytes, tensor.shape, tensor.rank,
                                  TypeOf(tensor.dtype));
}

Ort::Value Filled(ONNXTensorElementDataType type, const int64_t* shape, size_t rank, Default with) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Ort::Value value = Ort::Value::CreateTensor(allocator, shape, rank, type);
  const size_t count = value.GetTensorTypeAndShapeInfo().GetElementCount();
  const smi_dtype dtype = DTypeOf(type);
  if (with == Default::kZeros) {
    std::memset(value.GetTensorMutableRawData(), 0, count * smi_dtype_size(dtype));
    return value;
  }
  switch (dtype) {
    case SMI_FP32:
      Fill<float>(value, 1.0F, count);
      break;
    case SMI_FP64:
      Fill<double>(value, 1.0, count);
      break;
    case SMI_FP16:
      Fill<uint16_t>(value, 0x3C00, count);
      break;
    case SMI_BF16:
      Fill<uint16_t>(value, 0x3F80, count);
      break;
    default:  // integers and bool
      switch (smi_dtype_size(dtype)) {
        case 1:
          Fill<uint8_t>(value, 1, count);
          break;
        case 2:
          Fill<uint16_t>(value, 1, count);
          break;
        case 4:
          Fill<uint32_t>(value, 1, count);
          break;
        default:
          Fill<uint64_t>(value, 1, count);
      }
  }
  return value;
}

smi_code SendOutput(const Port& port, const Ort::Value& value, const smi_output_sink& sink) {
  if (!value.HasValue() || !value.IsTensor()) {
    throw Failure(SMI_UNSUPPORTED, "output '" + port.name + "' is empty or no tensor");
  }
  const auto type = value.GetTensorTypeAndShapeInfo();
  const std::vector<int64_t> shape = type.GetShape();
  smi_tensor out{};
  out.struct_size = sizeof out;
  out.dtype = DTypeOf(type.GetElementType());
  out.name = {port.name.data(), port.name.size()};
  out.shape = shape.data();
  out.rank = static_cast<uint32_t>(shape.size());
  out.memory = SMI_MEMORY_HOST;
  const size_t count = type.GetElementCount();
  std::vector<char> strings;
  if (out.dtype == SMI_BYTES) {
    strings = EncodeStrings(value, count);
    out.data = strings.data();
    out.size_bytes = strings.size();
  } else {
    out.data = const_cast<void*>(value.GetTensorRawData());
    out.size_bytes = count * smi_dtype_size(out.dtype);
  }
  return sink.output(sink.ctx, &out, 0);
}

}  // namespace mlos_ort
