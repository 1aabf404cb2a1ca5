// SPDX-License-Identifier: Apache-2.0
// Packages run in the real plugin: right ones pass with their answers, wrong ones are told what is wrong.
#include "check/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/canned_inputs.h"
#include "convert/convert.h"
#include "os/directory.h"
#include "os/file.h"

namespace mlos::check {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CheckTest : public ::testing::Test {
 protected:
  static plugin::PluginRegistry& Plugins() {
    static auto plugins = plugin::PluginRegistry::Open({fs::path(MLOS_PLUGIN_DIR)}, nullptr).value();
    return *plugins;
  }
  // A converted case of tests/models/convert, with its answers.
  CheckOptions Converted(const std::string& name) {
    fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/convert" / name, dir_.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    fs::permissions(dir_.path(), fs::perms::owner_all);
    CheckOptions options;
    options.package_dir = dir_.path();
    const auto converted = convert::Convert(dir_.path(), {});
    EXPECT_TRUE(converted.ok()) << converted.status().ToString();
    if (!converted.ok()) return options;
    EXPECT_TRUE(convert::WriteSideCar(dir_.path(), *converted, dir_.path()).ok());
    for (const convert::ConvertedGraph& graph : converted->graphs) {
      EXPECT_TRUE(os::WriteFile(dir_.path() / graph.file, graph.onnx).ok());
      options.files.push_back(graph.file);
    }
    options.max_length = converted->max_length;
    return options;
  }

  os::TemporaryDirectory dir_;
};

TEST_F(CheckTest, AConvertedPackageRunsAndGivesItsAnswers) {
  const auto reports = CheckPackage(Plugins(), Converted("torch-zip"));
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  ASSERT_EQ(reports->size(), 1U);
  EXPECT_EQ(reports->front().outputs, 1U);
  EXPECT_GT(reports->front().golden_cases, 1U);
  EXPECT_LT(reports->front().worst, kDefaultTolerance);
}

TEST_F(CheckTest, AnswersThatDifferAreToldByCaseAndOutput) {
  const CheckOptions options = Converted("torch-zip");
  // Another model's weights under the same names: one byte of the exponent of every 50th number.
  const std::string file = (dir_.path() / "pytorch_model.bin").string();
  fs::permissions(file, fs::perms::owner_all);
  std::string bytes = os::ReadFile(file, 1 << 20).value();
  const auto converted = convert::Convert(dir_.path(), {});
  ASSERT_TRUE(converted.ok());
  for (size_t at = bytes.size() / 2; at + 400 < bytes.size(); at += 200)
    bytes[at + 2] = static_cast<char>(bytes[at + 2] ^ 0x20);
  ASSERT_TRUE(os::WriteFile(file, bytes).ok());
  const auto reports = CheckPackage(Plugins(), options);
  EXPECT_EQ(reports.status().code(), Code::kDataLoss);
  EXPECT_THAT(reports.status().message(), HasSubstr("golden case"));
}

TEST_F(CheckTest, AFileThatIsNoModelIsRefusedByThePlugin) {
  CheckOptions options;
  options.package_dir = dir_.path();
  options.files = {"model.onnx"};
  ASSERT_TRUE(os::WriteFile(dir_.path() / "model.onnx", "no model").ok());
  const auto reports = CheckPackage(Plugins(), options);
  EXPECT_FALSE(reports.ok());
  EXPECT_THAT(reports.status().message(), HasSubstr("model.onnx"));
}

TEST_F(CheckTest, AFormatWithoutPluginIsUnimplemented) {
  CheckOptions options;
  options.package_dir = dir_.path();
  options.files = {"model.tflite"};
  options.format = "tflite";
  EXPECT_EQ(CheckPackage(Plugins(), options).status().code(), Code::kUnimplemented);
}

TEST_F(CheckTest, AReferenceIsComparedNotJudged) {
  CheckOptions options = Converted("torch-zip");
  options.reference = dir_.path() / "model.onnx";
  const auto reports = CheckPackage(Plugins(), options);
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  EXPECT_GT(reports->front().compared, 0U);
  EXPECT_EQ(reports->front().max_abs, 0);
  EXPECT_NEAR(reports->front().cosine, 1, 1e-9);
}

TEST_F(CheckTest, FormsOfATextModelAreComparedOnSentences) {
  const fs::path model = fs::path(MLOS_SOURCE_DIR) / "tests/models/tiny-bert";
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"})
    fs::copy(model / file, dir_.path() / file);
  const auto converted = convert::Convert(dir_.path(), {});
  ASSERT_TRUE(converted.ok()) << converted.status().ToString();
  ASSERT_TRUE(os::WriteFile(dir_.path() / "model.onnx", converted->graphs.front().onnx).ok());
  CheckOptions options;
  options.package_dir = dir_.path();
  options.files = {"model.onnx"};
  options.max_length = converted->max_length;
  options.reference = dir_.path() / "model.onnx";
  const auto reports = CheckPackage(Plugins(), options);
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  EXPECT_EQ(reports->front().samples, 8U);
  EXPECT_EQ(reports->front().max_abs, 0);
  // Without its tokenizer it is asked once, with made-up ids.
  fs::remove(dir_.path() / "tokenizer.json");
  EXPECT_EQ(CheckPackage(Plugins(), options).value().front().samples, 1U);
}

TEST(CannedInputsTest, SizesFollowTheNamesOfDimensions) {
  EXPECT_EQ(CannedSize("batch_size", {}), 1);
  EXPECT_EQ(CannedSize("past_sequence_length", {}), 0);
  EXPECT_EQ(CannedSize("past_sequence_length + sequence_length", {}), 8);
  EXPECT_EQ(CannedSize("sequence_length", {5}), 5);
  EXPECT_EQ(CannedSize("height", {}), 224);
}

TEST(CannedInputsTest, MasksAreOnesAndPositionsCount) {
  ModelInterface interface;
  interface.inputs = {{"attention_mask", DType::kInt64, {-1, -1}, {"batch_size", "sequence_length"}},
                      {"position_ids", DType::kInt64, {1, 3}, {"", ""}},
                      {"pixel_values", DType::kFp32, {-1, 3, 2, 2}, {"batch_size", "", "", ""}}};
  const auto inputs = CannedInputs(interface, {});
  ASSERT_TRUE(inputs.ok());
  EXPECT_EQ((*inputs)[0].tensor.shape(), (Shape{1, 8}));
  EXPECT_EQ((*inputs)[0].tensor.As<int64_t>()[7], 1);
  EXPECT_EQ((*inputs)[1].tensor.As<int64_t>()[2], 2);
  EXPECT_EQ((*inputs)[2].tensor.element_count(), 12);
  interface.inputs = {{"text", DType::kBytes, {-1}, {"batch_size"}}};
  EXPECT_EQ(CannedInputs(interface, {}).status().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace mlos::check
