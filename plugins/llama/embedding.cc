// SPDX-License-Identifier: Apache-2.0
#include "embedding.h"

#include <algorithm>
#include <cstring>

namespace mlos::llama {
namespace {

constexpr std::string_view kInput = "text";
constexpr std::string_view kOutput = "embedding";

std::string_view View(const smi_str& text) { return {text.data == nullptr ? "" : text.data, text.size}; }

Status CheckOutputs(const smi_execute_params& params) {
  for (uint32_t i = 0; i < params.n_outputs; ++i) {
    if (View(params.outputs[i]) != kOutput) {
      return Fail(SMI_BAD_INPUT, "the model has no output '", View(params.outputs[i]),
                  "'; it has 'embedding'");
    }
  }
  return Ok();
}

Status FindText(const smi_execute_params& params, const smi_tensor** text) {
  for (uint32_t i = 0; i < params.n_inputs; ++i) {
    if (View(params.inputs[i].name) != kInput) {
      return Fail(SMI_BAD_INPUT, "the model has no input '", View(params.inputs[i].name), "'; it has 'text'");
    }
    if (*text != nullptr) return Fail(SMI_BAD_INPUT, "input 'text' is given twice");
    *text = &params.inputs[i];
  }
  if (*text == nullptr) return Fail(SMI_BAD_INPUT, "input 'text' is missing");
  if ((*text)->memory != SMI_MEMORY_HOST)
    return Fail(SMI_UNSUPPORTED, "input 'text' must lie in host memory");
  if ((*text)->dtype != SMI_BYTES || (*text)->rank != 1) {
    return Fail(SMI_BAD_INPUT, "input 'text' must be BYTES of rank 1, not dtype ", (*text)->dtype,
                " of rank ", (*text)->rank);
  }
  return Ok();
}

}  // namespace

Status SplitBytes(const smi_tensor& tensor, uint64_t count, std::vector<std::string_view>* elements) {
  const char* next = static_cast<const char*>(tensor.data);
  uint64_t left = next == nullptr ? 0 : tensor.size_bytes;
  for (uint64_t i = 0; i < count; ++i) {
    uint32_t size = 0;
    if (left < sizeof size) return Fail(SMI_BAD_INPUT, "input 'text' ends before element ", i, " of ", count);
    std::memcpy(&size, next, sizeof size);
    next += sizeof size;
    left -= sizeof size;
    if (size > left) return Fail(SMI_BAD_INPUT, "input 'text' ends inside element ", i, " of ", count);
    elements->emplace_back(next, size);
    next += size;
    left -= size;
  }
  if (left != 0) return Fail(SMI_BAD_INPUT, "input 'text' has ", left, " bytes after its last element");
  return Ok();
}

Embedding::Embedding(const smi_execute_params& params, const smi_output_sink& sink)
    : smi_call(params.deadline_ns), sink_{}, n_threads_(params.n_threads), accepted_ns_(NowNs()) {
  std::memcpy(&sink_, &sink, std::min<size_t>(sink.struct_size, sizeof sink_));
}

Status Embedding::Make(const smi_execute_params& params, const smi_output_sink& sink,
                       const Vocabulary& vocabulary, uint32_t context_length,
                       std::unique_ptr<Embedding>* call) {
  const smi_tensor* text = nullptr;
  if (Status status = CheckOutputs(params); !status.ok()) return status;
  if (Status status = FindText(params, &text); !status.ok()) return status;
  std::vector<std::string_view> elements;
  if (Status status = SplitBytes(*text, static_cast<uint64_t>(text->shape[0]), &elements); !status.ok())
    return status;
  std::unique_ptr<Embedding> made(new Embedding(params, sink));
  for (size_t i = 0; i < elements.size(); ++i) {
    std::vector<int32_t>& tokens = made->texts_.emplace_back();
    Status status = vocabulary.Tokenize(elements[i], /*around=*/true, Special::kPlainText, &tokens);
    if (!status.ok()) return status;
    if (tokens.empty()) return Fail(SMI_BAD_INPUT, "text ", i, " is empty: there is nothing to embed");
    if (tokens.size() > context_length) {
      return Fail(SMI_BAD_INPUT, "text ", i, " has ", tokens.size(), " tokens, the model's context holds ",
                  context_length);
    }
  }
  *call = std::move(made);
  return Ok();
}

float* Embedding::Vectors(uint32_t width) {
  width_ = width;
  if (sink_.reserve != nullptr) {
    const uint64_t bytes = uint64_t{texts_.size()} * width * sizeof(float);
    vectors_ = static_cast<float*>(sink_.reserve(sink_.ctx, {kOutput.data(), kOutput.size()}, bytes));
  }
  if (vectors_ == nullptr) {
    own_.resize(texts_.size() * width);
    vectors_ = own_.data();
  }
  return vectors_;
}

void Embedding::Done(Status status, int64_t started_ns, Counters* counters) {
  const int64_t computed = NowNs();
  if (status.ok()) {
    const int64_t shape[] = {static_cast<int64_t>(texts_.size()), width_};
    smi_tensor tensor{};
    tensor.struct_size = sizeof tensor;
    tensor.dtype = SMI_FP32;
    tensor.name = {kOutput.data(), kOutput.size()};
    tensor.shape = shape;
    tensor.rank = 2;
    tensor.data = vectors_;
    tensor.size_bytes = texts_.size() * width_ * sizeof(float);
    if (sink_.output(sink_.ctx, &tensor, 0) != SMI_OK) status = {SMI_CANCELLED, "the receiver asked to stop"};
    for (const auto& tokens : texts_) counters->tokens_prompt += tokens.size();
  }
  const int64_t now = NowNs();
  counters->Finished(status.code, now - accepted_ns_);
  smi_timing timing{};
  timing.struct_size = sizeof timing;
  timing.prepare_ns = static_cast<uint64_t>(started_ns - accepted_ns_);
  timing.compute_ns = static_cast<uint64_t>(computed - started_ns);
  timing.finish_ns = static_cast<uint64_t>(now - computed);
  smi_error error{};
  error.struct_size = sizeof error;
  Report(status, &error);
  sink_.done(sink_.ctx, status.code, status.ok() ? nullptr : &error, &timing);
}

}  // namespace mlos::llama
