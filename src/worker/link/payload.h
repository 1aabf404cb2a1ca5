// SPDX-License-Identifier: Apache-2.0
// Requests and responses as they lie in a slot. docs/formats/worker.md, "Payloads":
//
//   request  = kind:u32 n_threads:u32 deadline_ns:i64 (execute | generate)
//   execute  = inputs:list(tensor) outputs:list(index:u32)            kind 1; no outputs = all
//   tensor   = index:u32 dtype:i32 offset:u64 size:u64 shape:list(i64)
//   generate = prompt:string messages:list(role:string content:string) stop:list(string) max_tokens:u32
//              temperature:f32 top_p:f32 min_p:f32 repeat_penalty:f32 top_k:i32 stream:u32 seed:u64    kind 2
//   response = code:u32 message:string queue_ns:i64 prepare_ns:i64 compute_ns:i64 prompt_ns:i64 eval_ns:i64
//              finish:u32 prompt_tokens:u32 completion_tokens:u32 outputs:list(tensor)
//
// `index` counts the inputs or outputs in the order the model's interface lists them. Each side copies a payload to memory of
// its own before it looks at it, and believes no number in it.
#pragma once

#include <memory>
#include <span>

#include "infer/model_interface.h"
#include "infer/request.h"
#include "worker/link/bytes.h"
#include "worker/link/shared_arena.h"

namespace mlos::worker {

// Host. Inputs must lie in `inputs` and, like the outputs, be of the interface; both have been checked.
void EncodeRequest(const Request& request, const ModelInterface& interface, const SharedArena& inputs,
                   ByteWriter* out);

// Worker. The inputs of the answer view `inputs` through `owner`, whose Free does nothing. kInvalidArgument when the payload is
// not what the grammar says or points outside of the memory.
Result<Request> DecodeRequest(std::span<const std::byte> payload, const ModelInterface& interface,
                              std::span<std::byte> inputs, const std::shared_ptr<TensorArena>& owner);

// Worker. Outputs must lie in `outputs`; kUnavailable when one does not, because there was no room.
Status CheckPlaced(const Response& response, const SharedArena& outputs);
void EncodeResponse(const Status& status, const Response& response, const ModelInterface& interface,
                    const SharedArena& outputs, ByteWriter* out);

struct DecodedResponse {
  Status status;
  Response response;
};
// Host. `wanted` are the outputs asked for, empty = all; each must come, in that order, as the interface declares it. They view
// `outputs` and are given back to `owner`; strings are copied, because the worker could change their lengths. kInternal when
// the payload is not that.
Result<DecodedResponse> DecodeResponse(std::span<const std::byte> payload, const ModelInterface& interface,
                                       const std::vector<std::string>& wanted, std::span<std::byte> outputs,
                                       const std::shared_ptr<TensorArena>& owner);

}  // namespace mlos::worker
