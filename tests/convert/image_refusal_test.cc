// SPDX-License-Identifier: Apache-2.0
// What conversion of image models refuses, and that it names what it refuses. The checkpoints are those of the golden tests.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "convert/safetensors.h"
#include "convert/testing/safetensors_writer.h"
#include "os/directory.h"

namespace mlos::convert {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A folder of tests/models/convert in a state that a test has changed.
class ChangedCase {
 public:
  explicit ChangedCase(const std::string& name)
      : source_(fs::path(MLOS_SOURCE_DIR) / "tests/models/convert" / name),
        config_(ReadText(source_ / "config.json")) {
    const std::string bytes = ReadText(source_ / "model.safetensors");
    const auto header = ParseSafetensors(std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(header.ok()) << header.status().ToString();
    if (!header.ok()) return;
    for (const TensorEntry& entry : header->tensors) {
      EXPECT_TRUE(entry.dtype == DType::kFp32 || entry.dtype == DType::kInt64) << entry.name;
      tensors_.push_back({entry.name, entry.dtype == DType::kFp32 ? "F32" : "I64", entry.shape,
                          bytes.substr(entry.offset, entry.size_bytes)});
    }
  }

  // The key must be there or not at all; `value` is JSON.
  ChangedCase& Set(const std::string& key, const std::string& value) {
    const size_t brace = config_.find('{');
    const size_t at = config_.find("\"" + key + "\":");
    if (at != std::string::npos) config_.insert(at + 1, "_");
    config_.insert(brace + 1, "\"" + key + "\": " + value + ",");
    return *this;
  }
  ChangedCase& Drop(const std::string& tensor) {
    EXPECT_EQ(std::erase_if(tensors_, [&](const TensorToWrite& t) { return t.name == tensor; }), 1U)
        << tensor;
    return *this;
  }
  ChangedCase& Add(const std::string& tensor, const Shape& shape) {
    size_t bytes = 4;
    for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
    tensors_.push_back({tensor, "F32", shape, std::string(bytes, '\0')});
    return *this;
  }

  // Converts, which must fail with a message that has both parts.
  void ExpectRefused(const std::string& part, const std::string& other = "", const std::string& task = "") {
    const auto result = Run(task);
    ASSERT_FALSE(result.ok()) << part;
    EXPECT_TRUE(result.status().code() == Code::kUnimplemented || result.status().code() == Code::kDataLoss)
        << result.status().ToString();
    EXPECT_THAT(result.status().message(), AllOf(HasSubstr(part), HasSubstr(other)));
  }
  Result<ConvertResult> Run(const std::string& task = "") {
    WriteBytes(dir_.path() / "config.json", config_);
    WriteBytes(dir_.path() / "model.safetensors", SafetensorsBytes(tensors_));
    return Convert(dir_.path(), {task});
  }
  const fs::path& path() const { return dir_.path(); }

 private:
  const fs::path source_;
  std::string config_;
  std::vector<TensorToWrite> tensors_;
  os::TemporaryDirectory dir_;
};

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
      .Set("architectures", R"(["ViTForMaskedImageModeling"])")
      .ExpectRefused("ViTForMaskedImageModeling");
  ChangedCase(name).Drop("classifier.bias").ExpectRefused("'classifier.bias'");
  ChangedCase(name).Add("vit.adapter.weight", {4}).ExpectRefused("'vit.adapter.weight'", "no place");
  ChangedCase(name)
      .Drop("classifier.weight")
      .Add("classifier.weight", {5, 15})
      .ExpectRefused("'classifier.weight'", "shape");
  ChangedCase(name).ExpectRefused("'fill-mask'", "vit", "fill-mask");
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
