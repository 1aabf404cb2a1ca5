// SPDX-License-Identifier: Apache-2.0
// One JSON value -> the tensor that a model input declares.
//
//   tensor  = scalar | nested | object
//   nested  = '[' (nested | scalar) * ']'            row-major, not ragged
//   object  = {"data": scalar | nested, "shape": [..]?, "datatype": "FP32"?}
//           | {"b64": "...", "shape": [..]?, "datatype": "FP32"?}    little-endian bytes, base64
//   scalar  = number | true | false | string | {"b64": "..."} for BYTES
#pragma once

#include "infer/model_interface.h"
#include "tensor/tensor.h"
#include "wire/json_cursor.h"

namespace mlos::wire {

// Deepest nesting of brackets that is read as a tensor.
inline constexpr int kMaxTensorRank = 32;

// Reads the value at the cursor as `spec` declares it. Malformed JSON: kInvalidArgument with the byte offset. Values that
// do not fit: kUnprocessable "input 'x', element [0, 2]: wanted UINT8, got the number 300".
// The tensor's bytes are put into `arena` when it is not null and has room; strings never are.
Result<Tensor> DecodeTensor(JsonCursor& cursor, const TensorSpec& spec,
                            const std::shared_ptr<TensorArena>& arena = nullptr);

// A tensor from raw little-endian bytes of spec.dtype, `shape` as sent or empty: then it is computed from the size. BYTES: one
// string when no shape is given, else length-prefixed strings.
Result<Tensor> TensorFromBytes(const TensorSpec& spec, std::string_view bytes, const Shape* shape,
                               const std::shared_ptr<TensorArena>& arena = nullptr);

// A BYTES tensor for `spec` from texts sent as a list.
Result<Tensor> TensorFromTexts(const TensorSpec& spec, const std::vector<std::string>& texts);

}  // namespace mlos::wire
