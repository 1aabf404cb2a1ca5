// SPDX-License-Identifier: Apache-2.0
// DeiT (model_type "deit"): ViT with a distillation token. Trained with a teacher it has a classifier for each of the two
// tokens and answers their mean. Hidden patches come from the patches' tokens, as in transformers 5; version 4 was one token off.
#include <array>
#include <string>

#include "convert/architectures.h"
#include "convert/image_transformer.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

void Classify(GraphBuilder& g, ImageTransformer& model) {
  g.SetScope("classifier");
  const int64_t width = model.sizes().width;
  const std::string by_class = model.names().Of("cls_classifier");
  if (!g.Has(by_class + ".weight")) {
    const std::string classifier = model.names().Of("classifier");
    return LogitsOutput(g, Labels(g, model.Token(0), classifier, width), classifier);
  }
  const Value of_class = Labels(g, model.Token(0), by_class, width);
  const Shape shape = g.ShapeOf(by_class + ".weight");
  const Value of_teacher = Dense(g, model.Token(1), model.names().Of("distillation_classifier"), width,
                                 shape.empty() ? -1 : shape[0]);
  const Value sum = g.Op("Add", {of_class, of_teacher});
  LogitsOutput(g, g.Op("Mul", {sum, g.Float(0.5F)}), by_class);
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(
      RequireHead("deit", context, {Head::kEncoder, Head::kImageClassification, Head::kMaskedImage}));
  MLOS_ASSIGN_OR_RETURN(const ImageTransformerSizes sizes, ReadImageTransformerSizes(context.config));
  ImageTransformer model(g, "deit.", sizes, {"cls_token", "distillation_token"},
                         context.head == Head::kMaskedImage);
  if (context.head == Head::kEncoder) {
    model.HiddenOutputs();
  } else if (context.head == Head::kMaskedImage) {
    MLOS_RETURN_IF_ERROR(model.PictureOutput());
  } else {
    Classify(g, model);
  }
  return BuildResult{
      {}, model.Ignored(context.head, {"classifier", "cls_classifier", "distillation_classifier"}), 0};
}

constexpr std::array<Architecture::ClassHead, 4> kClasses = {{
    {"DeiTModel", Head::kEncoder},
    {"DeiTForImageClassification", Head::kImageClassification},
    {"DeiTForImageClassificationWithTeacher", Head::kImageClassification},
    {"DeiTForMaskedImageModeling", Head::kMaskedImage},
}};

}  // namespace

const Architecture kDeit = {"deit", kClasses, Build};

}  // namespace mlos::convert
