// SPDX-License-Identifier: Apache-2.0
// infer::Response -> JSON, whole or as server-sent events. Field by field in docs/formats/http.md.
#pragma once

#include <string>
#include <string_view>

#include "infer/request.h"
#include "tensor/tensor.h"

namespace mlos::wire {

struct ResponseContext {
  std::string_view model_id;
  std::string_view request_id;
  std::string_view client_id;  // InferBody::id; left out when empty
  bool include_outputs = true;
  bool generated = false;  // the request asked for text: text, tokens and finish_reason are sent
};

// The answer of an inference, as one JSON object. `output_size` is the byte length of the JSON text of `outputs` (of `text` for generated
// text); when include_outputs leaves that out it is not written for the sake of its length, and the bytes of the tensors' data count.
std::string EncodeInferResponse(const Response& response, const ResponseContext& context);

// "[1,2.5,...]": the elements, flat, row-major. Floats as the shortest text that reads back to the same value of their
// dtype's float (FP16 and BF16: of the equal float); NaN and infinities, which JSON lacks, as null. BYTES as strings, or
// {"b64": "..."} where the bytes are not UTF-8. Fails only for a malformed BYTES tensor.
Status AppendTensorData(const TensorView& tensor, std::string* out);

// Server-sent events, each "data: {...}\n\n".
std::string EncodeStreamText(std::string_view piece);
// The last text event ({"done":true, ...the fields of EncodeInferResponse}) and "data: [DONE]\n\n".
std::string EncodeStreamDone(const Response& response, const ResponseContext& context);
// {"error":{"code","message","request_id"}}; the stream ends after it.
std::string EncodeStreamError(const Status& status, std::string_view request_id);

// {"status":"error","code","message","model_id"?,"request_id"}.
std::string EncodeError(const Status& status, std::string_view model_id, std::string_view request_id);
// The same for errors of the protocol, which no Code names.
std::string EncodeError(std::string_view code, std::string_view message, std::string_view model_id,
                        std::string_view request_id);

}  // namespace mlos::wire
