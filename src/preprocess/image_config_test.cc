// SPDX-License-Identifier: Apache-2.0
#include "preprocess/image_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/directory.h"

namespace mlos::preprocess {
namespace {

using ::testing::HasSubstr;

TEST(ImageConfigTest, ReadsWhatTransformersWrites) {
  const auto config = ParseImageConfig(R"({
    "image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": {"shortest_edge": 224}, "resample": 3,
    "do_center_crop": true, "crop_size": {"height": 224, "width": 200}, "do_rescale": true,
    "rescale_factor": 0.00392156862745098, "do_normalize": true, "image_mean": [0.5, 0.25, 0], "image_std": [1, 0.5, 2]})");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(*config, (ImageConfig{"CLIPImageProcessor",
                                  "shortest_edge",
                                  {224},
                                  "bicubic",
                                  {224, 200},
                                  0.00392156862745098,
                                  {0.5, 0.25, 0},
                                  {1, 0.5, 2}}));
}

TEST(ImageConfigTest, ReadsOldFilesWithSingleNumbers) {
  const auto config = ParseImageConfig(R"({"feature_extractor_type": "DetrFeatureExtractor", "size": 800,
    "max_size": 1333, "resample": 2, "do_center_crop": true, "crop_size": 64})");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->processor, "DetrFeatureExtractor");
  EXPECT_EQ(config->resize, "number");
  EXPECT_EQ(config->size, (std::vector<int64_t>{800, 1333}));
  EXPECT_EQ(config->resample, "bilinear");
  EXPECT_EQ(config->crop, (std::vector<int64_t>{64, 64}));
  EXPECT_EQ(config->rescale, 0);
}

TEST(ImageConfigTest, LeavesOutWhatIsNotDoneOrNotStated) {
  const auto config =
      ParseImageConfig(R"({"do_resize": false, "size": {"height": 8, "width": 9}, "resample": 2,
    "crop_size": 8, "do_rescale": false, "rescale_factor": 0.5, "do_normalize": false, "image_mean": [1], "image_std": null})");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(*config, ImageConfig());
  const auto exact = ParseImageConfig(R"({"size": {"height": 8, "width": 9}})");
  ASSERT_TRUE(exact.ok()) << exact.status().ToString();
  EXPECT_EQ(exact->resize, "exact");
  EXPECT_EQ(exact->size, (std::vector<int64_t>{8, 9}));
  EXPECT_EQ(exact->resample, "");
}

TEST(ImageConfigTest, NamesWhatNoProcessorUnderstands) {
  const auto expect = [](const char* json, const char* part) {
    const auto config = ParseImageConfig(json);
    ASSERT_FALSE(config.ok()) << json;
    EXPECT_EQ(config.status().code(), Code::kDataLoss);
    EXPECT_THAT(config.status().message(), HasSubstr(part));
  };
  expect("[]", "not a JSON object");
  expect("{", "preprocessor_config.json");
  expect(R"({"size": {"height": 8}})", "'size'");
  expect(R"({"size": {"area": 8}})", "'size'");
  expect(R"({"size": 0})", "'size' is 0");
  expect(R"({"size": 8, "max_size": "x"})", "'max_size'");
  expect(R"({"size": 8, "resample": 6})", "'resample' is 6");
  expect(R"({"do_resize": "yes"})", "'do_resize'");
  expect(R"({"do_center_crop": true, "crop_size": {"height": 8}})", "'crop_size'");
  expect(R"({"rescale_factor": 0})", "'rescale_factor'");
  expect(R"({"image_mean": 0.5})", "'image_mean'");
  expect(R"({"image_std": [1, "x"]})", "'image_std'");
  expect(R"({"image_processor_type": 1})", "'image_processor_type'");
}

TEST(ImageConfigTest, APackageWithoutTheFileHasNone) {
  const os::TemporaryDirectory dir;
  EXPECT_EQ(ReadImageConfig(dir.path()).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace mlos::preprocess
