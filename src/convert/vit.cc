// SPDX-License-Identifier: Apache-2.0
// ViT (model_type "vit"): transformer over patches; logits from the class token.
#include <array>
#include <string>

#include "convert/architectures.h"
#include "convert/image_transformer.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("vit", context));
  MLOS_ASSIGN_OR_RETURN(const ImageTransformerSizes sizes, ReadImageTransformerSizes(context.config));
  ImageTransformer model(g, "vit.", sizes, {"cls_token"});
  if (context.head == Head::kEncoder) {
    model.HiddenOutputs();
  } else {
    g.SetScope("classifier");
    const std::string classifier = model.names().Of("classifier");
    const Value logits = Labels(g, model.Token(0), classifier, sizes.width);
    LogitsOutput(g, logits, classifier);
  }
  return BuildResult{{}, model.Ignored(context.head, {"classifier"}), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"ViTModel", Head::kEncoder},
    {"ViTForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kVit = {"vit", kClasses, Build};

}  // namespace mlos::convert
