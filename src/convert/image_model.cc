// SPDX-License-Identifier: Apache-2.0
#include "convert/image_model.h"

#include <vector>

#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {

Result<ImageSize> ReadImageSize(const Config& config, std::string_view key, ImageSize fallback) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<int64_t> sides,
                        config.Ints(key, {fallback.height, fallback.width}, 1, 1 << 16));
  if (sides.size() > 2) {
    return Unimplemented("config.json: '" + std::string(key) + "' has " + std::to_string(sides.size()) +
                         " numbers; supported: one, or height and width");
  }
  return ImageSize{sides.front(), sides.back()};
}

ModelNames::ModelNames(const GraphBuilder& g, const std::string& base, const std::string& probe)
    : base_(base) {
  for (const char* wrapper : {"", "module.", "model."}) {
    for (const std::string& prefix : {base, std::string()}) {
      if (!g.Has(wrapper + prefix + probe)) continue;
      wrapper_ = wrapper;
      base_ = prefix;
      return;
    }
  }
}

namespace {

int64_t LabelCount(GraphBuilder& g, const std::string& name) {
  const Shape shape = g.ShapeOf(name + ".weight");
  return shape.empty() ? -1 : shape[0];
}

}  // namespace

Value Labels(GraphBuilder& g, const Value& pooled, const std::string& name, int64_t width) {
  return Dense(g, pooled, name, width, LabelCount(g, name));
}

void LogitsOutput(GraphBuilder& g, const Value& logits, const std::string& name) {
  g.Output("logits", logits, DType::kFp32, {kBatchAxis, LabelCount(g, name)});
}

Status RequireImageHead(std::string_view architecture, const BuildContext& context) {
  if (context.encoder_only) {
    return Unimplemented("modules.json puts pooling behind " + std::string(architecture) +
                         ", which gives no sentences; supported: text encoders");
  }
  if (context.head == Head::kEncoder || context.head == Head::kImageClassification) return OkStatus();
  return Unimplemented("task '" + std::string(TaskName(context.head)) + "' is not supported for " +
                       std::string(architecture) + "; supported: " + std::string(TaskName(Head::kEncoder)) +
                       ", " + std::string(TaskName(Head::kImageClassification)));
}

}  // namespace mlos::convert
