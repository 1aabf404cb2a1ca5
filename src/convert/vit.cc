// SPDX-License-Identifier: Apache-2.0
// ViT (model_type "vit"): transformer over patches; logits from the class token, hidden patches from what is around them.
#include <array>
#include <string>

#include "convert/architectures.h"
#include "convert/image_transformer.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(
      RequireHead("vit", context, {Head::kEncoder, Head::kImageClassification, Head::kMaskedImage}));
  MLOS_ASSIGN_OR_RETURN(const ImageTransformerSizes sizes, ReadImageTransformerSizes(context.config));
  ImageTransformer model(g, "vit.", sizes, {"cls_token"}, context.head == Head::kMaskedImage);
  if (context.head == Head::kEncoder) {
    model.HiddenOutputs();
  } else if (context.head == Head::kMaskedImage) {
    MLOS_RETURN_IF_ERROR(model.PictureOutput());
  } else {
    g.SetScope("classifier");
    const std::string classifier = model.names().Of("classifier");
    const Value logits = Labels(g, model.Token(0), classifier, sizes.width);
    LogitsOutput(g, logits, classifier);
  }
  return BuildResult{{}, model.Ignored(context.head, {"classifier"}), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"ViTModel", Head::kEncoder},
    {"ViTForImageClassification", Head::kImageClassification},
    {"ViTForMaskedImageModeling", Head::kMaskedImage},
}};

}  // namespace

const Architecture kVit = {"vit", kClasses, Build};

}  // namespace mlos::convert
