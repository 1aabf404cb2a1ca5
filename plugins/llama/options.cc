// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "cpus.h"

namespace mlos::llama {
namespace {

std::string_view View(const smi_str& text) { return {text.data == nullptr ? "" : text.data, text.size}; }

Status Number(std::string_view name, std::string_view value, uint32_t least, uint32_t most,
              uint32_t* number) {
  uint32_t parsed = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (error != std::errc() || end != value.data() + value.size() || parsed < least || parsed > most) {
    return Fail(SMI_INVALID_ARGUMENT, "load option '", name, "' takes a number from ", least, " to ", most,
                ", not '", value, "'");
  }
  *number = parsed;
  return Ok();
}

template <typename T>
struct Choice {
  std::string_view word;
  T value;
};

template <typename T, size_t N>
Status Word(std::string_view name, std::string_view value, const Choice<T> (&choices)[N], T* chosen) {
  std::string known;
  for (const Choice<T>& choice : choices) {
    if (choice.word == value) {
      *chosen = choice.value;
      return Ok();
    }
    known += (known.empty() ? "" : ", ") + std::string(choice.word);
  }
  return Fail(SMI_INVALID_ARGUMENT, "load option '", name, "' takes one of ", known, ", not '", value, "'");
}

constexpr Choice<Repack> kRepack[] = {{"auto", Repack::kAuto}, {"on", Repack::kOn}, {"off", Repack::kOff}};
constexpr Choice<Pooling> kPooling[] = {
    {"file", Pooling::kFromFile}, {"mean", Pooling::kMean}, {"cls", Pooling::kCls}, {"last", Pooling::kLast}};
constexpr Choice<bool> kFlag[] = {{"true", true}, {"false", false}};

Status ParseOption(std::string_view name, std::string_view value, LoadOptions* options) {
  if (name == "batch") return Number(name, value, 1, 16384, &options->batch);
  if (name == "max_queue") return Number(name, value, 0, 1u << 20, &options->max_queue);
  if (name == "repack") return Word(name, value, kRepack, &options->repack);
  if (name == "pooling") return Word(name, value, kPooling, &options->pooling);
  if (name == "normalize") return Word(name, value, kFlag, &options->normalize);
  return Fail(SMI_INVALID_ARGUMENT, "the llama plugin has no load option '", name,
              "'; it has batch, max_queue, normalize, pooling, repack");
}

}  // namespace

Status ParseLoadParams(const smi_load_params* params, LoadOptions* options) {
  if (params == nullptr || !SMI_HAS(params, smi_load_params, n_options)) {
    return Fail(SMI_INVALID_ARGUMENT, "load parameters are missing or too short");
  }
  if (params->path.size == 0) return Fail(SMI_INVALID_ARGUMENT, "load parameters name no file");
  if (View(params->format) != "gguf") {
    return Fail(SMI_UNSUPPORTED, "the llama plugin executes 'gguf', not '", View(params->format), "'");
  }
  if (params->n_options > 0 && params->options == nullptr)
    return Fail(SMI_INVALID_ARGUMENT, "load options are missing");
  options->path = View(params->path);
  options->context_length = params->context_length;
  options->max_sequences = params->max_sequences;
  options->cpus = AvailableCpus();
  options->n_threads = std::min(params->n_threads, options->cpus);
  for (uint32_t i = 0; i < params->n_options; ++i) {
    const smi_option& option = params->options[i];
    if (Status status = ParseOption(View(option.name), View(option.value), options); !status.ok())
      return status;
  }
  return Ok();
}

}  // namespace mlos::llama
