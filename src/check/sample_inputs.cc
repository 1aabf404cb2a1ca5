// SPDX-License-Identifier: Apache-2.0
#include "check/sample_inputs.h"

#include <array>
#include <string>
#include <utility>

#include "os/file.h"
#include "preprocess/text_pipeline.h"

namespace mlos::check {
namespace {

constexpr std::array kSentences = {
    "The weather is lovely today.",
    "How do I reset my password?",
    "Stocks fell sharply on Monday after the central bank raised its rates by half a point.",
    "def add(a, b): return a + b",
    "The patient was given antibiotics for ten days and recovered.",
    "Montrez-moi le chemin de la gare, s'il vous plaît.",
    "Yes",
    "A kernel module extends the operating system while it runs; when it is taken out again, whatever it had "
    "registered must be "
    "given back first, or the machine will sooner or later jump to code that is no longer there."};

bool TakesTokensOnly(const ModelInterface& interface) {
  const TensorSpec* ids = interface.FindInput("input_ids");
  if (ids == nullptr || ids->shape.size() != 2) return false;
  for (const TensorSpec& input : interface.inputs) {
    const bool is_known =
        input.name == "input_ids" || input.name == "attention_mask" || input.name == "token_type_ids";
    if (!is_known && !input.optional) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<std::vector<NamedTensor>>> SampleInputs(const std::filesystem::path& package_dir,
                                                           const ModelInterface& interface,
                                                           const CannedOptions& options) {
  std::vector<std::vector<NamedTensor>> samples;
  const std::filesystem::path tokenizer = package_dir / "tokenizer.json";
  if (TakesTokensOnly(interface) && os::Exists(tokenizer)) {
    preprocess::TextOptions text;
    text.tokenizer_file = tokenizer;
    text.max_length = options.max_length;
    const auto pipeline = preprocess::TextPipeline::Load(text);
    for (size_t i = 0; pipeline.ok() && i < kSentences.size(); ++i) {
      Result<preprocess::EncodedText> encoded = (*pipeline)->Encode({kSentences[i]}, interface);
      if (encoded.ok()) samples.push_back(std::move(encoded->inputs));
    }
  }
  if (!samples.empty()) return samples;
  MLOS_ASSIGN_OR_RETURN(std::vector<NamedTensor> canned, CannedInputs(interface, options));
  samples.push_back(std::move(canned));
  return samples;
}

}  // namespace mlos::check
