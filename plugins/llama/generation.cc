// SPDX-License-Identifier: Apache-2.0
#include "generation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace mlos::llama {
namespace {

constexpr uint32_t kMaxStops = 64;

template <typename T>
Status Range(const char* name, T value, bool fits, const char* wanted) {
  if (fits) return Ok();
  return Fail(SMI_INVALID_ARGUMENT, name, " must be ", wanted, ", not ", value);
}

Status CheckRanges(const smi_generate_params& params) {
  // Written so that NaN fails each of them.
  for (Status status : {
           Range("temperature", params.temperature,
                 params.temperature >= 0 && std::isfinite(params.temperature), "a number of at least 0"),
           Range("top_p", params.top_p, params.top_p > 0 && params.top_p <= 1, "above 0 and at most 1"),
           Range("min_p", params.min_p, params.min_p >= 0 && params.min_p < 1, "at least 0 and below 1"),
           Range("repeat_penalty", params.repeat_penalty,
                 params.repeat_penalty > 0 && std::isfinite(params.repeat_penalty), "above 0"),
           Range("top_k", params.top_k, params.top_k >= 0, "at least 0"),
           Range("the number of stop strings", params.n_stop, params.n_stop <= kMaxStops, "at most 64"),
       }) {
    if (!status.ok()) return status;
  }
  return Ok();
}

uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

uint32_t MostTokens(const GenerationParams& params, size_t prompt_tokens, uint32_t context_length) {
  const auto room = static_cast<uint32_t>(context_length - prompt_tokens);
  return params.max_tokens == 0 ? room : std::min(room, params.max_tokens);
}

smi_text_sink CopySink(const smi_text_sink& sink) {
  smi_text_sink copy{};
  std::memcpy(&copy, &sink, std::min<size_t>(sink.struct_size, sizeof copy));
  return copy;
}

}  // namespace

Status ParseGenerateParams(const smi_generate_params& params, GenerationParams* parsed) {
  if (Status status = CheckRanges(params); !status.ok()) return status;
  for (uint32_t i = 0; i < params.n_stop; ++i) {
    if (params.stop[i].size == 0) return Fail(SMI_INVALID_ARGUMENT, "stop string ", i, " is empty");
    parsed->stop.emplace_back(params.stop[i].data, params.stop[i].size);
  }
  parsed->sampling = {.temperature = params.temperature,
                      .top_p = params.top_p,
                      .min_p = params.min_p,
                      .repeat_penalty = params.repeat_penalty,
                      .top_k = params.top_k,
                      .seed = params.seed == 0 ? RandomSeed() : params.seed};
  parsed->max_tokens = params.max_tokens;
  parsed->deadline_ns = params.deadline_ns;
  return Ok();
}

Generation::Generation(GenerationParams params, std::vector<int32_t> prompt, uint32_t context_length,
                       const smi_text_sink& sink)
    : smi_call(params.deadline_ns),
      params_(std::move(params)),
      prompt_(std::move(prompt)),
      most_tokens_(MostTokens(params_, prompt_.size(), context_length)),
      sink_(CopySink(sink)),
      accepted_ns_(NowNs()),
      sampler_(params_.sampling),
      stops_(params_.stop) {
  const size_t seen = std::min(prompt_.size(), Sampler::kPenaltyWindow);
  for (size_t i = prompt_.size() - seen; i < prompt_.size(); ++i) sampler_.Accept(prompt_[i]);
}

bool Generation::Emit(std::string text) {
  if (text.empty()) return true;
  const smi_code code = sink_.text(sink_.ctx, {text.data(), text.size()}, untold_);
  untold_ = 0;
  if (code == SMI_OK) return true;
  outcome_ = {SMI_CANCELLED, "the receiver of the text asked to stop"};
  return false;
}

bool Generation::Finish(smi_finish finish) {
  finish_ = finish;
  if (stops_.stopped()) return false;
  std::string rest = stops_.Push(assembler_.Flush());
  if (stops_.stopped()) finish_ = SMI_FINISH_STOP;
  Emit(rest + stops_.Flush());
  return false;
}

bool Generation::Next(std::span<float> logits, const Vocabulary& vocabulary) {
  if (first_token_ns_ == 0) first_token_ns_ = NowNs();
  for (int32_t token : vocabulary.suppressed()) {
    logits[static_cast<size_t>(token)] = -std::numeric_limits<float>::infinity();
  }
  const std::optional<int32_t> token = sampler_.Sample(logits);
  if (!token) {
    outcome_ = {SMI_INTERNAL, "the model's output holds no finite number; its weights are probably damaged"};
    return false;
  }
  if (vocabulary.EndsText(*token)) return Finish(SMI_FINISH_STOP);
  sampler_.Accept(*token);
  last_token_ = *token;
  ++drawn_;
  ++untold_;
  std::string piece;
  vocabulary.AppendPiece(*token, &piece);
  if (!Emit(stops_.Push(assembler_.Push(piece)))) return false;
  if (stops_.stopped()) return Finish(SMI_FINISH_STOP);
  return drawn_ < most_tokens_ || Finish(SMI_FINISH_LENGTH);
}

void Generation::Done(Counters* counters) {
  const int64_t now = NowNs();
  const int64_t started = started_ns_ == 0 ? now : started_ns_;
  const int64_t first = first_token_ns_ == 0 ? now : first_token_ns_;
  smi_generate_result result{};
  result.struct_size = sizeof result;
  result.finish = outcome_.ok()                    ? finish_
                  : outcome_.code == SMI_CANCELLED ? SMI_FINISH_CANCELLED
                                                   : SMI_FINISH_NONE;
  result.prompt_tokens = static_cast<uint32_t>(prompt_.size());
  result.completion_tokens = drawn_;
  result.queue_ns = static_cast<uint64_t>(started - accepted_ns_);
  result.prompt_ns = static_cast<uint64_t>(first - started);
  result.eval_ns = static_cast<uint64_t>(now - first);
  counters->tokens_prompt += prompt_done_;
  counters->tokens_generated += drawn_;
  counters->Finished(outcome_.code, now - accepted_ns_);
  smi_error error{};
  error.struct_size = sizeof error;
  Report(outcome_, &error);
  sink_.done(sink_.ctx, outcome_.code, outcome_.ok() ? nullptr : &error, &result);
}

}  // namespace mlos::llama
