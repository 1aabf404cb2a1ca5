// SPDX-License-Identifier: Apache-2.0
// CLIP: texts and pictures in one space (model_type "clip"), and either side alone ("clip_text_model", "clip_vision_model").
#include <array>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/clip_towers.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr char kTextBatch[] = "text_batch_size";
constexpr char kImageBatch[] = "image_batch_size";
constexpr char kTextProbe[] = "embeddings.token_embedding.weight";
constexpr char kVisionProbe[] = "embeddings.class_embedding";

// `output` in the space that texts and pictures share: [batch, projection].
Value Project(GraphBuilder& g, const ClipOutput& output, const std::string& name, int64_t* projection) {
  const Shape shape = g.ShapeOf(name + ".weight");
  if (*projection == -1 && !shape.empty()) *projection = shape[0];
  return LinearFrom(g, output.pooled, name + ".weight", "", output.width, *projection);
}

// What one side gives: its projection when the checkpoint has one.
void SideOutputs(GraphBuilder& g, const ClipOutput& side, const std::string& projection, const char* embeds) {
  const Dim tokens = side.tokens_size < 0 ? Dim(kSequenceAxis) : Dim(side.tokens_size);
  if (g.Has(projection + ".weight")) {
    g.SetScope(projection);
    int64_t width = -1;
    const Value projected = Project(g, side, projection, &width);
    g.Output(embeds, projected, DType::kFp32, {kBatchAxis, width});
    g.Output("last_hidden_state", side.tokens, DType::kFp32, {kBatchAxis, tokens, side.width});
  } else {
    g.Output("last_hidden_state", side.tokens, DType::kFp32, {kBatchAxis, tokens, side.width});
    g.Output("pooler_output", side.pooled, DType::kFp32, {kBatchAxis, side.width});
  }
}

std::vector<IgnoreRule> Ignored(const std::vector<std::string>& unused) {
  std::vector<IgnoreRule> rules = {{"", "position_ids", "counted in the graph"}};
  for (const std::string& prefix : unused) rules.push_back({prefix, "", "not part of the task"});
  return rules;
}

// The part of a joint config.json that describes one side. The `_dict` form, where it is there, is the one that counts.
Result<Config> SideConfig(const Config& config, const std::string& key) {
  const std::string older = key + "_dict";
  return config.Object(config.Has(older) ? older : key);
}

void JointOutputs(GraphBuilder& g, const ClipOutput& text, const ClipOutput& image, const ModelNames& names) {
  g.SetScope("projection");
  int64_t width = -1;
  const auto unit = [&](const ClipOutput& side, const std::string& name) {
    const Value projected = Project(g, side, names.Of(name), &width);
    const Value length = g.Op("ReduceL2", {projected, g.Ints({1})}, {{"keepdims", int64_t{1}}});
    return g.Op("Div", {projected, length});
  };
  const Value text_embeds = unit(text, "text_projection");
  const Value image_embeds = unit(image, "visual_projection");
  const std::vector<int64_t> swap = {1, 0};
  const Value products = g.Op("MatMul", {text_embeds, g.Op("Transpose", {image_embeds}, {{"perm", swap}})});
  const Value per_text = g.Op("Mul", {products, g.Op("Exp", {g.Weight(names.Of("logit_scale"), {})})});
  const Value per_image = g.Op("Transpose", {per_text}, {{"perm", swap}});
  g.Output("logits_per_image", per_image, DType::kFp32, {kImageBatch, kTextBatch});
  g.Output("logits_per_text", per_text, DType::kFp32, {kTextBatch, kImageBatch});
  g.Output("text_embeds", text_embeds, DType::kFp32, {kTextBatch, width});
  g.Output("image_embeds", image_embeds, DType::kFp32, {kImageBatch, width});
}

// CLIPForImageClassification: from the mean of the patches.
void Classify(GraphBuilder& g, const ClipOutput& image, const std::string& classifier) {
  g.SetScope("classifier");
  const Value mean = MeanOfTokens(g, SliceAxis(g, image.tokens, 1, 1, kEnd));
  LogitsOutput(g, Labels(g, mean, classifier, image.width), classifier);
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireHead("clip", context,
                                   {Head::kZeroShotImage, Head::kEncoder, Head::kImageFeatures,
                                    Head::kTextFeatures, Head::kImageClassification}));
  MLOS_ASSIGN_OR_RETURN(const Config text_config, SideConfig(context.config, "text_config"));
  MLOS_ASSIGN_OR_RETURN(const Config vision_config, SideConfig(context.config, "vision_config"));
  MLOS_ASSIGN_OR_RETURN(const ClipSizes text, ReadClipText(text_config));
  MLOS_ASSIGN_OR_RETURN(const ClipSizes vision, ReadClipVision(vision_config));
  const ModelNames names(g, "clip.", std::string("vision_model.") + kVisionProbe);
  const std::string text_base = names.Base("text_model.");
  const std::string vision_base = names.Base("vision_model.");
  const std::string post_norm = vision_base + "post_layernorm.";
  switch (context.head) {
    case Head::kTextFeatures:
      SideOutputs(g, BuildClipText(g, text, text_base, kBatchAxis), names.Base("text_projection"),
                  "text_embeds");
      return BuildResult{{},
                         Ignored({vision_base, names.Base("visual_projection."), names.Base("logit_scale")}),
                         static_cast<uint32_t>(text.positions)};
    case Head::kImageFeatures:
      SideOutputs(g, BuildClipVision(g, vision, vision_base, kBatchAxis, /*norm_pooled=*/true),
                  names.Base("visual_projection"), "image_embeds");
      return BuildResult{{},
                         Ignored({text_base, names.Base("text_projection."), names.Base("logit_scale"),
                                  names.Of("classifier.")}),
                         0};
    case Head::kImageClassification:
      Classify(g, BuildClipVision(g, vision, vision_base, kBatchAxis, /*norm_pooled=*/false),
               names.Of("classifier"));
      return BuildResult{{},
                         Ignored({text_base, post_norm, names.Base("text_projection."),
                                  names.Base("visual_projection."), names.Base("logit_scale")}),
                         0};
    default:
      break;
  }
  const ClipOutput text_side = BuildClipText(g, text, text_base, kTextBatch);
  const ClipOutput image_side = BuildClipVision(g, vision, vision_base, kImageBatch, /*norm_pooled=*/true);
  JointOutputs(g, text_side, image_side, names);
  return BuildResult{{}, Ignored({}), static_cast<uint32_t>(text.positions)};
}

Result<BuildResult> BuildText(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireHead("clip_text_model", context, {Head::kEncoder, Head::kTextFeatures}));
  MLOS_ASSIGN_OR_RETURN(const ClipSizes sizes, ReadClipText(context.config));
  const ModelNames names(g, "text_model.", kTextProbe);
  const ClipOutput side = BuildClipText(g, sizes, names.Base(""), kBatchAxis);
  SideOutputs(g, side, names.Of("text_projection"), "text_embeds");
  return BuildResult{{}, Ignored({}), static_cast<uint32_t>(sizes.positions)};
}

Result<BuildResult> BuildVision(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireHead("clip_vision_model", context, {Head::kEncoder, Head::kImageFeatures}));
  MLOS_ASSIGN_OR_RETURN(const ClipSizes sizes, ReadClipVision(context.config));
  const ModelNames names(g, "vision_model.", kVisionProbe);
  const ClipOutput side = BuildClipVision(g, sizes, names.Base(""), kBatchAxis, /*norm_pooled=*/true);
  SideOutputs(g, side, names.Of("visual_projection"), "image_embeds");
  return BuildResult{{}, Ignored({}), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"CLIPModel", Head::kZeroShotImage},
    {"CLIPForImageClassification", Head::kImageClassification},
}};
constexpr std::array<Architecture::ClassHead, 2> kTextClasses = {{
    {"CLIPTextModel", Head::kEncoder},
    {"CLIPTextModelWithProjection", Head::kEncoder},
}};
constexpr std::array<Architecture::ClassHead, 2> kVisionClasses = {{
    {"CLIPVisionModel", Head::kEncoder},
    {"CLIPVisionModelWithProjection", Head::kEncoder},
}};

}  // namespace

const Architecture kClip = {"clip", kClasses, Build};
const Architecture kClipText = {"clip_text_model", kTextClasses, BuildText};
const Architecture kClipVision = {"clip_vision_model", kVisionClasses, BuildVision};

}  // namespace mlos::convert
