// SPDX-License-Identifier: Apache-2.0
// SMI's tensors as the engine's, and back.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "onnxruntime_cxx_api.h"
#include "smi/smi.h"

namespace mlos_ort {

struct Port;
enum class Default;

// SMI_DTYPE_INVALID, or UNDEFINED, where the other side has no such type.
smi_dtype DTypeOf(ONNXTensorElementDataType type);
ONNXTensorElementDataType TypeOf(smi_dtype dtype);

// Throws Failure (SMI_BAD_INPUT) saying what was wanted and what was got when the tensor does not fit the port.
void CheckFit(const Port& port, const smi_tensor& tensor);

// Borrows the bytes, except for strings, which are copied. The tensor has been checked (smi_check_execute, CheckFit).
Ort::Value ToValue(const smi_tensor& tensor, const OrtMemoryInfo* memory);

// An owned tensor of ones or zeros.
Ort::Value Filled(ONNXTensorElementDataType type, const int64_t* shape, size_t rank, Default with);

// Hands an output of the engine to the sink, in place but for strings. The sink's answer.
smi_code SendOutput(const Port& port, const Ort::Value& value, const smi_output_sink& sink);

}  // namespace mlos_ort
