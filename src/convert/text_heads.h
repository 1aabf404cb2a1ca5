// SPDX-License-Identifier: Apache-2.0
// The heads of text encoders in the two forms that several families have: BERT's, behind a pooler and "cls.predictions", and RoBERTa's,
// behind "lm_head" and a classifier of two layers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convert/architectures.h"
#include "convert/text_model.h"

namespace mlos::convert {

// Outputs of the task over the model's rows; `name` is the model_type, for the refusal of a task that is not there. `pooler`: the linear
// layer behind the first token.
void BertHeads(GraphBuilder& g, TextModel& m, Head head, std::string_view name,
               const std::string& pooler = "pooler.dense");
void RobertaHeads(GraphBuilder& g, TextModel& m, Head head, std::string_view name);

// One vector for the text, [batch, width], as `summary_type`, `summary_use_proj` and `summary_activation` say: a token or the mean,
// through "sequence_summary.summary".
struct SummaryDefaults {
  const char* type;  // "first", "last", "mean"
  const char* activation;
};
Result<Value> TextSummary(GraphBuilder& g, const TextModel& m, const Config& config,
                          const SummaryDefaults& defaults);

// Tensors of other tasks that a checkpoint with such heads may carry.
std::vector<IgnoreRule> UnusedBertHeads(const TextModel& m, Head head);
std::vector<IgnoreRule> UnusedRobertaHeads(const TextModel& m, Head head);

}  // namespace mlos::convert
