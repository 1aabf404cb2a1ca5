// SPDX-License-Identifier: Apache-2.0
#include "worker/link/payload.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace mlos::worker {
namespace {

constexpr uint32_t kExecute = 1;
constexpr uint32_t kGenerate = 2;
constexpr size_t kMaxRank = 64;
constexpr size_t kTensorBytes = 28;
constexpr uint64_t kAlignment = 64;

// The codes on the wire are these numbers.
static_assert(static_cast<int>(Code::kOk) == 0 && static_cast<int>(Code::kInvalidArgument) == 1);
static_assert(static_cast<int>(Code::kUnprocessable) == 2 && static_cast<int>(Code::kNotFound) == 3);
static_assert(static_cast<int>(Code::kAlreadyExists) == 4 &&
              static_cast<int>(Code::kFailedPrecondition) == 5);
static_assert(static_cast<int>(Code::kUnauthenticated) == 6 &&
              static_cast<int>(Code::kPermissionDenied) == 7);
static_assert(static_cast<int>(Code::kTooLarge) == 8 && static_cast<int>(Code::kResourceExhausted) == 9);
static_assert(static_cast<int>(Code::kUnavailable) == 10 && static_cast<int>(Code::kDeadlineExceeded) == 11);
static_assert(static_cast<int>(Code::kCancelled) == 12 && static_cast<int>(Code::kUnimplemented) == 13);
static_assert(static_cast<int>(Code::kDataLoss) == 14 && static_cast<int>(Code::kInternal) == 15);
static_assert(static_cast<int>(FinishReason::kNone) == 0 && static_cast<int>(FinishReason::kStop) == 1);
static_assert(static_cast<int>(FinishReason::kLength) == 2 &&
              static_cast<int>(FinishReason::kCancelled) == 3);

uint32_t IndexOf(const std::vector<TensorSpec>& specs, std::string_view name) {
  const auto it = std::ranges::find(specs, name, &TensorSpec::name);
  return static_cast<uint32_t>(it - specs.begin());
}

void PutTensor(const NamedTensor& named, const std::vector<TensorSpec>& specs, const SharedArena& arena,
               ByteWriter* out) {
  const std::span<const std::byte> data = named.tensor.data();
  out->Put(IndexOf(specs, named.name)).Put(named.tensor.dtype());
  out->Put(data.empty() ? uint64_t{0} : arena.OffsetOf(data.data(), data.size()).value_or(0));
  out->Put(uint64_t{data.size()}).Put(static_cast<uint32_t>(named.tensor.shape().size()));
  for (const int64_t dim : named.tensor.shape()) out->Put(dim);
}

struct TensorRef {
  uint32_t index = 0;
  DType dtype = DType::kInvalid;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  Shape shape;
};

// Checks what needs no interface: the dtype exists, shape and size agree, the bytes lie in the arena.
Result<TensorRef> GetTensor(ByteReader* in, uint64_t arena_bytes) {
  TensorRef ref;
  ref.index = in->Get<uint32_t>();
  const auto dtype = in->Get<int32_t>();
  ref.offset = in->Get<uint64_t>();
  ref.size_bytes = in->Get<uint64_t>();
  const uint32_t rank = in->Count(sizeof(int64_t));
  if (!in->ok() || rank > kMaxRank) return InvalidArgument("a tensor of the message cannot be read");
  if (dtype <= 0 || dtype > static_cast<int32_t>(DType::kBytes)) {
    return InvalidArgument("a tensor of the unknown dtype " + std::to_string(dtype));
  }
  ref.dtype = static_cast<DType>(dtype);
  ref.shape.reserve(rank);
  for (uint32_t i = 0; i < rank; ++i) ref.shape.push_back(in->Get<int64_t>());
  if (!RangeFits(ref.offset, ref.size_bytes, arena_bytes) || ref.offset % kAlignment != 0) {
    return InvalidArgument("a tensor of " + std::to_string(ref.size_bytes) + " bytes at " +
                           std::to_string(ref.offset) + ", which is outside of the arena");
  }
  if (ref.dtype == DType::kBytes) return ref;
  MLOS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(ref.dtype, ref.shape));
  if (bytes != ref.size_bytes) {
    return InvalidArgument("a tensor of shape " + ShapeToString(ref.shape) + " and " +
                           std::to_string(ref.size_bytes) + " bytes, which do not agree");
  }
  return ref;
}

void PutGeneration(const Generation& g, ByteWriter* out) {
  out->String(g.prompt).Put(static_cast<uint32_t>(g.messages.size()));
  for (const ChatMessage& m : g.messages) out->String(m.role).String(m.content);
  out->Put(static_cast<uint32_t>(g.stop.size()));
  for (const std::string& s : g.stop) out->String(s);
  out->Put(g.max_tokens).Put(g.temperature).Put(g.top_p).Put(g.min_p).Put(g.repeat_penalty).Put(g.top_k);
  out->Put(uint32_t{g.stream}).Put(g.seed);
}

Generation GetGeneration(ByteReader* in) {
  Generation g;
  g.prompt = in->String();
  for (uint32_t n = in->Count(8); n > 0 && in->ok(); --n) {
    ChatMessage message;
    message.role = in->String();
    message.content = in->String();
    g.messages.push_back(std::move(message));
  }
  for (uint32_t n = in->Count(4); n > 0 && in->ok(); --n) g.stop.emplace_back(in->String());
  g.max_tokens = in->Get<uint32_t>();
  g.temperature = in->Get<float>();
  g.top_p = in->Get<float>();
  g.min_p = in->Get<float>();
  g.repeat_penalty = in->Get<float>();
  g.top_k = in->Get<int32_t>();
  g.stream = in->Get<uint32_t>() != 0;
  g.seed = in->Get<uint64_t>();
  return g;
}

Status GetExecution(ByteReader* in, const ModelInterface& interface, std::span<std::byte> arena,
                    const std::shared_ptr<TensorArena>& owner, Request* request) {
  const uint32_t n_inputs = in->Count(kTensorBytes);
  request->inputs.reserve(n_inputs);
  for (uint32_t i = 0; i < n_inputs; ++i) {
    MLOS_ASSIGN_OR_RETURN(TensorRef ref, GetTensor(in, arena.size()));
    if (ref.index >= interface.inputs.size()) return InvalidArgument("an input that the model does not have");
    MLOS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Adopt(ref.dtype, std::move(ref.shape),
                                                       arena.subspan(ref.offset, ref.size_bytes), owner));
    request->inputs.push_back({interface.inputs[ref.index].name, std::move(tensor)});
  }
  for (uint32_t n = in->Count(4); n > 0; --n) {
    const auto index = in->Get<uint32_t>();
    if (index >= interface.outputs.size()) return InvalidArgument("an output that the model does not have");
    request->outputs.push_back(interface.outputs[index].name);
  }
  return OkStatus();
}

// The output as the host may use it.
Result<Tensor> TakeOutput(TensorRef ref, const TensorSpec& spec, std::span<std::byte> arena,
                          const std::shared_ptr<TensorArena>& owner) {
  const std::span<std::byte> block = arena.subspan(ref.offset, ref.size_bytes);
  const auto fits = [](int64_t want, int64_t got) { return want < 0 || want == got; };
  if (ref.dtype != spec.dtype || !std::ranges::equal(spec.shape, ref.shape, fits)) {
    return Internal("output '" + spec.name + "' is declared as " + SpecToString(spec) + ", but came as " +
                    std::string(DTypeName(ref.dtype)) + " " + ShapeToString(ref.shape));
  }
  if (block.empty()) return Tensor::Copy(ref.dtype, std::move(ref.shape), block);
  if (ref.dtype != DType::kBytes) return Tensor::Adopt(ref.dtype, std::move(ref.shape), block, owner);
  const std::vector<std::byte> own(block.begin(), block.end());
  owner->Free(block.data());
  return Tensor::Copy(ref.dtype, std::move(ref.shape), own);
}

}  // namespace

void EncodeRequest(const Request& request, const ModelInterface& interface, const SharedArena& inputs,
                   ByteWriter* out) {
  out->Put(request.generation ? kGenerate : kExecute).Put(request.n_threads).Put(request.deadline_ns);
  if (request.generation) {
    PutGeneration(*request.generation, out);
    return;
  }
  out->Put(static_cast<uint32_t>(request.inputs.size()));
  for (const NamedTensor& input : request.inputs) PutTensor(input, interface.inputs, inputs, out);
  out->Put(static_cast<uint32_t>(request.outputs.size()));
  for (const std::string& name : request.outputs) out->Put(IndexOf(interface.outputs, name));
}

Result<Request> DecodeRequest(std::span<const std::byte> payload, const ModelInterface& interface,
                              std::span<std::byte> inputs, const std::shared_ptr<TensorArena>& owner) {
  ByteReader in(payload);
  Request request;
  const auto kind = in.Get<uint32_t>();
  request.n_threads = in.Get<uint32_t>();
  request.deadline_ns = in.Get<int64_t>();
  if (kind == kGenerate) {
    request.generation = GetGeneration(&in);
  } else if (kind == kExecute) {
    MLOS_RETURN_IF_ERROR(GetExecution(&in, interface, inputs, owner, &request));
  } else {
    return InvalidArgument("a request of the unknown kind " + std::to_string(kind));
  }
  if (!in.AtEnd()) return InvalidArgument("a request that is shorter or longer than its parts");
  return request;
}

Status CheckPlaced(const Response& response, const SharedArena& outputs) {
  for (const NamedTensor& output : response.outputs) {
    const std::span<const std::byte> data = output.tensor.data();
    if (data.empty() || outputs.OffsetOf(data.data(), data.size())) continue;
    return Unavailable("the worker's memory for outputs is full (" + std::to_string(data.size()) +
                       " bytes wanted for '" + output.name + "'): retry later");
  }
  return OkStatus();
}

void EncodeResponse(const Status& status, const Response& response, const ModelInterface& interface,
                    const SharedArena& outputs, ByteWriter* out) {
  const Timing& t = response.timing;
  out->Put(static_cast<uint32_t>(status.code())).String(status.message());
  out->Put(t.queue_ns).Put(t.prepare_ns).Put(t.compute_ns).Put(t.prompt_ns).Put(t.eval_ns);
  out->Put(static_cast<uint32_t>(response.finish))
      .Put(response.prompt_tokens)
      .Put(response.completion_tokens);
  const size_t n_outputs = status.ok() ? response.outputs.size() : 0;
  out->Put(static_cast<uint32_t>(n_outputs));
  for (size_t i = 0; i < n_outputs; ++i) PutTensor(response.outputs[i], interface.outputs, outputs, out);
}

Result<DecodedResponse> DecodeResponse(std::span<const std::byte> payload, const ModelInterface& interface,
                                       const std::vector<std::string>& wanted, std::span<std::byte> outputs,
                                       const std::shared_ptr<TensorArena>& owner) {
  ByteReader in(payload);
  DecodedResponse out;
  const auto code = in.Get<uint32_t>();
  const std::string_view message = in.String();
  Timing& t = out.response.timing;
  for (int64_t* time : {&t.queue_ns, &t.prepare_ns, &t.compute_ns, &t.prompt_ns, &t.eval_ns}) {
    *time = std::max<int64_t>(in.Get<int64_t>(), 0);
  }
  const auto finish = in.Get<uint32_t>();
  out.response.prompt_tokens = in.Get<uint32_t>();
  out.response.completion_tokens = in.Get<uint32_t>();
  const uint32_t count = in.Count(kTensorBytes);
  if (!in.ok() || code > static_cast<uint32_t>(Code::kInternal) ||
      finish > static_cast<uint32_t>(FinishReason::kCancelled)) {
    return Internal("the worker's answer cannot be read");
  }
  out.response.finish = static_cast<FinishReason>(finish);
  if (code != 0) {
    out.status = Status(static_cast<Code>(code), std::string(message));
    return out;
  }
  const size_t expected = wanted.empty() ? interface.outputs.size() : wanted.size();
  if (count != 0 && count != expected) {
    return Internal("the worker's answer has " + std::to_string(count) + " outputs, wanted " +
                    std::to_string(expected));
  }
  out.response.outputs.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    Result<TensorRef> ref = GetTensor(&in, outputs.size());
    if (!ref.ok()) return Internal("the worker's answer holds " + ref.status().message());
    const uint32_t index = wanted.empty() ? i : IndexOf(interface.outputs, wanted[i]);
    if (ref->index != index) return Internal("the worker's answer has its outputs in the wrong order");
    const TensorSpec& spec = interface.outputs[index];
    Result<Tensor> tensor = TakeOutput(std::move(*ref), spec, outputs, owner);
    if (!tensor.ok()) return Internal("the worker's answer: " + tensor.status().message());
    out.response.outputs.push_back({spec.name, std::move(*tensor)});
  }
  if (!in.AtEnd()) return Internal("the worker's answer is longer than its parts");
  return out;
}

}  // namespace mlos::worker
