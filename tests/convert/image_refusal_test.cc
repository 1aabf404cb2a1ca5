// SPDX-License-Identifier: Apache-2.0
// What conversion of image models refuses, and that it names what it refuses. The checkpoints are those of the golden tests.
#include <gtest/gtest.h>

#include "changed_case.h"

namespace mlos::convert {
namespace {

TEST(ImageRefusalTest, VitNamesWhatIsWrong) {
  const std::string name = "vit-cls-odd-picture";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("gelu_10")").ExpectRefused("'hidden_act'", "gelu_10");
  ChangedCase(name).Set("image_size", "[8,8,8]").ExpectRefused("'image_size'", "3 numbers");
  ChangedCase(name).Set("patch_size", R"("4")").ExpectRefused("'patch_size'", "\"4\"");
  ChangedCase(name).Set("patch_size", "20").ExpectRefused("'patch_size'", "larger");
  ChangedCase(name).Set("num_attention_heads", "3").ExpectRefused("'num_attention_heads' 3");
  ChangedCase(name).Set("image_size", "16").ExpectRefused("'vit.embeddings.position_embeddings'", "shape");
  ChangedCase(name)
      .Set("num_channels", "1")
      .ExpectRefused("'vit.embeddings.patch_embeddings.projection.weight'");
  ChangedCase(name).Set("qkv_bias", "false").ExpectRefused("key.bias", "no place");
  ChangedCase(name).Set("num_hidden_layers", "1").ExpectRefused("'vit.encoder.layer.1.", "no place");
  ChangedCase(name)
      .Set("architectures", R"(["ViTForSemanticSegmentation"])")
      .ExpectRefused("ViTForSemanticSegmentation");
  ChangedCase(name).Drop("classifier.bias").ExpectRefused("'classifier.bias'");
  ChangedCase(name).Add("vit.adapter.weight", {4}).ExpectRefused("'vit.adapter.weight'", "no place");
  ChangedCase(name)
      .Drop("classifier.weight")
      .Add("classifier.weight", {5, 15})
      .ExpectRefused("'classifier.weight'", "shape");
  ChangedCase(name).ExpectRefused("'fill-mask'", "vit", "fill-mask");
}

TEST(ImageRefusalTest, MaskedModelsNameWhatIsWrong) {
  EXPECT_TRUE(ChangedCase("vit-masked").Run().ok());
  ChangedCase("vit-masked")
      .Set("encoder_stride", "3")
      .ExpectRefused("'patch_size' is 4 x 4", "'encoder_stride', 3");
  ChangedCase("vit-masked").Drop("decoder.0.bias").ExpectRefused("'decoder.0.bias'");
  ChangedCase("vit-masked").Drop("vit.embeddings.mask_token").ExpectRefused("'vit.embeddings.mask_token'");
  ChangedCase("vit-masked").Set("num_channels", "3").ExpectRefused("projection.weight", "shape");
  EXPECT_TRUE(ChangedCase("swin-masked").Run().ok());
  ChangedCase("swin-masked").Set("encoder_stride", "16").ExpectRefused("'encoder_stride' is 16", "16 tokens");
  ChangedCase("swin-masked").Add("decoder.1.weight", {4}).ExpectRefused("'decoder.1.weight'", "no place");
  // A picture whose last patch is cut off cannot be put together again.
  ChangedCase("vit-cls-odd-picture").ExpectRefused("'patch_size' is 4 x 3", "masked-im", "masked-im");
}

TEST(ImageRefusalTest, DeitNamesWhatIsWrong) {
  const std::string name = "deit-teacher";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name)
      .Drop("deit.embeddings.distillation_token")
      .ExpectRefused("'deit.embeddings.distillation_token'");
  ChangedCase(name).Drop("distillation_classifier.weight").ExpectRefused("'distillation_classifier.weight'");
  ChangedCase(name).Add("classifier.weight", {3, 16}).ExpectRefused("'classifier.weight'", "no place");
  ChangedCase(name)
      .Drop("distillation_classifier.weight")
      .Add("distillation_classifier.weight", {2, 16})
      .ExpectRefused("'distillation_classifier.weight'", "shape");
}

TEST(ImageRefusalTest, ResNetNamesWhatIsWrong) {
  const std::string name = "resnet-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("layer_type", R"("wide")").ExpectRefused("'layer_type'", "wide");
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("depths", "[1,1,1]").ExpectRefused("'hidden_sizes' has 2", "'depths' 3");
  ChangedCase(name).Set("depths", "[1,1]").ExpectRefused("encoder.stages.1.layers.1.", "no place");
  ChangedCase(name).Set("hidden_sizes", R"([8,"x"])").ExpectRefused("'hidden_sizes'");
  ChangedCase(name).Set("layer_type", R"("basic")").ExpectRefused("layer.0.convolution.weight", "shape");
  ChangedCase(name).Drop("classifier.1.bias").ExpectRefused("'classifier.1.bias'");
  ChangedCase(name)
      .Drop("resnet.embedder.embedder.normalization.running_var")
      .ExpectRefused("'resnet.embedder.embedder.normalization.running_var'");
  ChangedCase(name).Add("resnet.extra", {4}).ExpectRefused("'resnet.extra'", "no place");
  ChangedCase(name).ExpectRefused("'fill-mask'", "resnet", "fill-mask");
}

TEST(ImageRefusalTest, ConvNextNamesWhatIsWrong) {
  const std::string name = "convnext-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("num_stages", "3").ExpectRefused("'num_stages' is 3");
  ChangedCase(name).Set("image_size", "3").ExpectRefused("too small", "3 x 3");
  ChangedCase(name).Set("layer_scale_init_value", "0").ExpectRefused("layer_scale_parameter", "no place");
  ChangedCase(name).Drop("classifier.bias").ExpectRefused("'classifier.bias'");
  ChangedCase(name).Add("convnext.extra", {4}).ExpectRefused("'convnext.extra'", "no place");
}

}  // namespace
}  // namespace mlos::convert
