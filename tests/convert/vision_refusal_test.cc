// SPDX-License-Identifier: Apache-2.0
// What conversion of the vision families refuses, and that it names what it refuses. The checkpoints are those of the golden tests.
#include <gtest/gtest.h>

#include "changed_case.h"

namespace mlos::convert {
namespace {

TEST(VisionRefusalTest, ClipNamesWhatIsWrong) {
  const std::string name = "clip-text";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("eos_token_id", "[49, 2]").ExpectRefused("'eos_token_id'", "[49,2]");
  ChangedCase(name).Set("num_attention_heads", "3").ExpectRefused("'num_attention_heads' 3");
  ChangedCase(name).Set("vocab_size", "51").ExpectRefused("token_embedding.weight", "shape");
  ChangedCase(name)
      .Drop("text_model.final_layer_norm.bias")
      .ExpectRefused("'text_model.final_layer_norm.bias'");
  ChangedCase(name).Add("text_model.adapter", {4}).ExpectRefused("'text_model.adapter'", "no place");
  ChangedCase(name).ExpectRefused("'image-classification'", "clip_text_model", "image-classification");
}

TEST(VisionRefusalTest, JointClipNamesWhatIsWrong) {
  const std::string name = "clip-joint";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("vision_config", R"("large")").ExpectRefused("'vision_config'", "large");
  ChangedCase(name)
      .Set("vision_config_dict", R"({"image_size": [8, 8]})")
      .ExpectRefused("'image_size'", "[8,8]");
  ChangedCase(name).Drop("logit_scale").ExpectRefused("'logit_scale'");
  ChangedCase(name).Drop("visual_projection.weight").ExpectRefused("'visual_projection.weight'");
  ChangedCase(name)
      .Drop("visual_projection.weight")
      .Add("visual_projection.weight", {9, 15})
      .ExpectRefused("'visual_projection.weight'", "shape");
  ChangedCase(name).Set("architectures", R"(["CLIPSegModel"])").ExpectRefused("CLIPSegModel");
}

TEST(VisionRefusalTest, Dinov2NamesWhatIsWrong) {
  const std::string name = "dinov2-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("use_swiglu_ffn", "true").ExpectRefused("mlp.weights_in.weight");
  ChangedCase(name).Set("qkv_bias", "false").ExpectRefused("key.bias", "no place");
  const std::string positions = "dinov2.embeddings.position_embeddings";
  ChangedCase(name).Drop(positions).Add(positions, {1, 13, 15}).ExpectRefused(positions, "12 patches");
  ChangedCase(name).Drop("dinov2.encoder.layer.1.layer_scale2.lambda1").ExpectRefused("layer_scale2.lambda1");
  ChangedCase(name)
      .Add("dinov2.embeddings.register_tokens", {1, 4, 15})
      .ExpectRefused("register_tokens", "no place");
  ChangedCase(name).Set("architectures", R"(["Dinov2Backbone"])").ExpectRefused("Dinov2Backbone");
}

TEST(VisionRefusalTest, BeitNamesWhatIsWrong) {
  const std::string name = "beit-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("image_size", "[8, 12]").ExpectRefused("2 x 3", "relative positions");
  ChangedCase(name).Set("image_size", "8").ExpectRefused("relative_position_bias_table", "shape");
  ChangedCase(name).Set("use_relative_position_bias", "false").ExpectRefused("bias_table", "no place");
  ChangedCase(name).Set("layer_scale_init_value", "0").ExpectRefused("lambda_1", "no place");
  ChangedCase(name).Drop("beit.pooler.layernorm.weight").ExpectRefused("beit.pooler.layernorm.weight");
  ChangedCase(name)
      .Add("beit.encoder.layer.0.attention.attention.key.bias", {15})
      .ExpectRefused("key.bias", "no place");
  ChangedCase(name)
      .Set("architectures", R"(["BeitForSemanticSegmentation"])")
      .ExpectRefused("BeitForSemanticSegmentation");
}

TEST(VisionRefusalTest, SwinNamesWhatIsWrong) {
  const std::string name = "swin-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("num_heads", "[1,2,4]").ExpectRefused("'depths' has 2", "'num_heads' 3");
  ChangedCase(name).Set("num_heads", "[1,3]").ExpectRefused("16 wide", "'num_heads' 3");
  ChangedCase(name).Set("image_size", "16").ExpectRefused("'window_size' 3", "2 x 2");
  ChangedCase(name).Set("window_size", "4").ExpectRefused("relative_position_bias_table", "shape");
  ChangedCase(name).Set("use_absolute_embeddings", "true").ExpectRefused("position_embeddings");
  ChangedCase(name).Drop("swin.encoder.layers.0.downsample.norm.bias").ExpectRefused("downsample.norm.bias");
  ChangedCase(name).Add("swin.extra", {4}).ExpectRefused("'swin.extra'", "no place");
}

TEST(VisionRefusalTest, LevitNamesWhatIsWrong) {
  const std::string name = "levit-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("depths", "[1,1]").ExpectRefused("'depths'", "has 2");
  ChangedCase(name).Set("image_size", "56").ExpectRefused("4 x 4", "'patch_size' says 3 x 3");
  ChangedCase(name).Set("key_dim", "[4,8,4]").ExpectRefused("queries_keys_values.linear.weight", "shape");
  ChangedCase(name)
      .Drop("classifier.batch_norm.running_var")
      .ExpectRefused("'classifier.batch_norm.running_var'");
  ChangedCase(name).Add("levit.extra", {4}).ExpectRefused("'levit.extra'", "no place");
}

TEST(VisionRefusalTest, SegformerNamesWhatIsWrong) {
  const std::string name = "segformer-segmentation";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("reshape_last_stage", "false").ExpectRefused("'reshape_last_stage'", "false");
  ChangedCase(name)
      .Set("sr_ratios", "[4,2,1]")
      .ExpectRefused("'num_encoder_blocks' is 2", "'sr_ratios' has 3");
  ChangedCase(name).Set("sr_ratios", "[2,1]").ExpectRefused("self.sr.weight", "shape");
  ChangedCase(name).Set("num_attention_heads", "[3,3]").ExpectRefused("'num_attention_heads' 3");
  ChangedCase(name)
      .Drop("decode_head.batch_norm.running_mean")
      .ExpectRefused("'decode_head.batch_norm.running_mean'");
  ChangedCase(name).Add("segformer.extra", {4}).ExpectRefused("'segformer.extra'", "no place");
}

TEST(VisionRefusalTest, MobileNetV2NamesWhatIsWrong) {
  const std::string name = "mobilenet-v2-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("depth_multiplier", "0.5").ExpectRefused("convolution.weight", "shape");
  ChangedCase(name).Set("tf_padding", R"("same")").ExpectRefused("'tf_padding'", "same");
  ChangedCase(name).Drop("classifier.bias").ExpectRefused("'classifier.bias'");
  ChangedCase(name).Add("mobilenet_v2.extra", {4}).ExpectRefused("'mobilenet_v2.extra'", "no place");
}

TEST(VisionRefusalTest, EfficientNetNamesWhatIsWrong) {
  const std::string name = "efficientnet-cls";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("hidden_act", R"("mish")").ExpectRefused("'hidden_act'", "mish");
  ChangedCase(name).Set("pooling_type", R"("none")").ExpectRefused("'pooling_type'", "none");
  ChangedCase(name).Set("strides", "[1,2,3]").ExpectRefused("'strides'", "[1,2,3]");
  ChangedCase(name).Set("hidden_dim", "32").ExpectRefused("'hidden_dim' is 32", "24");
  ChangedCase(name).Set("kernel_sizes", "[3,5]").ExpectRefused("'in_channels' has 3", "'kernel_sizes' 2");
  ChangedCase(name).Set("depth_coefficient", "2.0").ExpectRefused("encoder.blocks.");
  ChangedCase(name).Drop("efficientnet.encoder.top_bn.running_var").ExpectRefused("top_bn.running_var");
  ChangedCase(name).Add("efficientnet.extra", {4}).ExpectRefused("'efficientnet.extra'", "no place");
}

TEST(VisionRefusalTest, RegNetAndPoolFormerNameWhatIsWrong) {
  EXPECT_TRUE(ChangedCase("regnet-cls").Run().ok());
  ChangedCase("regnet-cls").Set("layer_type", R"("z")").ExpectRefused("'layer_type'", "\"z\"");
  ChangedCase("regnet-cls").Set("groups_width", "8").ExpectRefused("layer.1.convolution.weight", "shape");
  ChangedCase("regnet-cls").Set("layer_type", R"("x")").ExpectRefused("layer.2.convolution.weight");
  ChangedCase("regnet-cls").Add("regnet.extra", {4}).ExpectRefused("'regnet.extra'", "no place");
  EXPECT_TRUE(ChangedCase("poolformer-cls").Run().ok());
  ChangedCase("poolformer-cls").Set("pool_size", "2").ExpectRefused("'pool_size' is 2");
  ChangedCase("poolformer-cls").Set("num_encoder_blocks", "4").ExpectRefused("'num_encoder_blocks' is 4");
  ChangedCase("poolformer-cls").Set("use_layer_scale", "false").ExpectRefused("layer_scale_1", "no place");
  ChangedCase("poolformer-cls").Drop("norm.weight").ExpectRefused("'norm.weight'");
}

TEST(VisionRefusalTest, StateDictsNameWhatIsWrong) {
  const std::string name = "torchvision-resnet-basic";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Drop("layer1.0.conv2.weight").ExpectRefused("'layer1.0.conv2.weight'");
  ChangedCase(name)
      .Drop("layer1.0.conv2.weight")
      .Add("layer1.0.conv2.weight", {8, 8, 2, 2})
      .ExpectRefused("odd kernel");
  ChangedCase(name)
      .Drop("layer1.0.conv2.weight")
      .Add("layer1.0.conv2.weight", {8, 5, 3, 3})
      .ExpectRefused("8 channels");
  ChangedCase(name)
      .Add("layer1.0.se.fc1.weight", {4, 8})
      .ExpectRefused("'layer1.0.se.fc1.weight'", "no place");
  ChangedCase(name).Drop("fc.weight").ExpectRefused("'fc.weight'");
  ChangedCase("torchvision-densenet")
      .Drop("features.denseblock2.denselayer2.norm1.running_var")
      .ExpectRefused("denselayer2.norm1.running_var");
  ChangedCase("torchvision-densenet")
      .Add("features.extra", {4})
      .ExpectRefused("'features.extra'", "no place");
}

TEST(VisionRefusalTest, DetrNamesWhatIsWrong) {
  const std::string name = "detr-objects";
  EXPECT_TRUE(ChangedCase(name).Run().ok());
  ChangedCase(name).Set("activation_function", R"("mish")").ExpectRefused("'activation_function'", "mish");
  ChangedCase(name)
      .Set("position_embedding_type", R"("rotary")")
      .ExpectRefused("'position_embedding_type'", "rotary");
  ChangedCase(name).Set("dilation", "true").ExpectRefused("'dilation'", "true");
  ChangedCase(name)
      .Set("backbone_config", R"({"model_type": "swin"})")
      .ExpectRefused("'model_type' \"swin\"");
  ChangedCase(name)
      .Set("backbone_config", R"({"model_type": "timm_backbone", "backbone": "resnet50d"})")
      .ExpectRefused("'backbone'", "resnet50d");
  ChangedCase(name)
      .Set(
          "backbone_config",
          R"({"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 12], "out_features": ["stage1"]})")
      .ExpectRefused("'out_features'", "stage 2");
  ChangedCase(name).Set("num_queries", "6").ExpectRefused("query_position_embeddings.weight", "shape");
  ChangedCase(name).Set("d_model", "18").ExpectRefused("'d_model' 18");
  ChangedCase(name).ExpectRefused("four stages", "", "image-segmentation");
  ChangedCase(name).Drop("bbox_predictor.layers.2.bias").ExpectRefused("'bbox_predictor.layers.2.bias'");
  ChangedCase(name).Add("model.extra", {4}).ExpectRefused("'model.extra'", "no place");
}

}  // namespace
}  // namespace mlos::convert
