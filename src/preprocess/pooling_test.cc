// SPDX-License-Identifier: Apache-2.0
#include "preprocess/pooling.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace mlos::preprocess {
namespace {

// Two texts of three tokens of width 2; the second has its padding on the left.
const std::vector<float> kTokens = {1, 2, 3, -4, 100, 100, 100, 100, 5, 6, 7, -8};
const std::vector<int64_t> kMask = {1, 1, 0, 0, 1, 1};

std::vector<float> Pooled(Pooling pooling, bool normalize, bool with_mask = true,
                          std::vector<int64_t> mask_values = kMask) {
  const Tensor tokens = std::move(Tensor::FromValues<float>(DType::kFp32, {2, 3, 2}, kTokens)).value();
  const Tensor mask = std::move(Tensor::FromValues<int64_t>(DType::kInt64, {2, 3}, mask_values)).value();
  const TensorView view = mask.view();
  const auto pooled = Pool(tokens, with_mask ? &view : nullptr, pooling, normalize);
  EXPECT_TRUE(pooled.ok()) << pooled.status().ToString();
  EXPECT_EQ(pooled->shape(), (Shape{2, 2}));
  const auto values = pooled->As<float>();
  return {values.begin(), values.end()};
}

TEST(PoolingTest, PoolsAttendedTokensOnly) {
  EXPECT_EQ(Pooled(Pooling::kMean, false), (std::vector<float>{2, -1, 6, -1}));
  EXPECT_EQ(Pooled(Pooling::kMax, false), (std::vector<float>{3, 2, 7, 6}));
  EXPECT_EQ(Pooled(Pooling::kCls, false), (std::vector<float>{1, 2, 5, 6}));
  EXPECT_EQ(Pooled(Pooling::kLastToken, false), (std::vector<float>{3, -4, 7, -8}));
}

TEST(PoolingTest, WithoutMaskAllTokensCount) {
  EXPECT_EQ(Pooled(Pooling::kLastToken, false, false), (std::vector<float>{100, 100, 7, -8}));
}

TEST(PoolingTest, NormalizesToLengthOne) {
  const std::vector<float> values = Pooled(Pooling::kLastToken, true);
  EXPECT_FLOAT_EQ(values[0], 0.6F);
  EXPECT_FLOAT_EQ(values[1], -0.8F);
}

TEST(PoolingTest, ATextWithoutAttendedTokensStaysFinite) {
  const std::vector<int64_t> mask = {0, 0, 0, 1, 1, 1};
  EXPECT_EQ(Pooled(Pooling::kMean, true, true, mask)[0], 0.0F);
  EXPECT_EQ(Pooled(Pooling::kCls, false, true, mask)[0], 1.0F);
  EXPECT_EQ(Pooled(Pooling::kMax, false, true, mask)[0], std::numeric_limits<float>::lowest());
}

TEST(PoolingTest, WidensHalfPrecision) {
  std::vector<uint16_t> halves;
  for (const float value : kTokens) halves.push_back(FloatToHalf(value));
  const Tensor tokens = std::move(Tensor::FromValues<uint16_t>(DType::kFp16, {2, 3, 2}, halves)).value();
  const std::vector<int32_t> values(kMask.begin(), kMask.end());
  const Tensor mask = std::move(Tensor::FromValues<int32_t>(DType::kInt32, {2, 3}, values)).value();
  const TensorView view = mask.view();
  const auto pooled = Pool(tokens, &view, Pooling::kMean, false);
  ASSERT_TRUE(pooled.ok());
  EXPECT_EQ(pooled->As<float>()[0], 2.0F);
  EXPECT_EQ(pooled->As<float>()[3], -1.0F);
}

TEST(PoolingTest, RefusesOtherShapesAndDtypes) {
  const Tensor flat = std::move(Tensor::FromValues<float>(DType::kFp32, {6, 2}, kTokens)).value();
  EXPECT_EQ(Pool(flat, nullptr, Pooling::kMean, false).status().code(), Code::kUnprocessable);
  const Tensor tokens = std::move(Tensor::FromValues<float>(DType::kFp32, {2, 3, 2}, kTokens)).value();
  const Tensor mask = std::move(Tensor::FromValues<int64_t>(DType::kInt64, {3, 2}, kMask)).value();
  const TensorView view = mask.view();
  EXPECT_EQ(Pool(tokens, &view, Pooling::kMean, false).status().code(), Code::kUnprocessable);
}

TEST(PoolingTest, KnowsItsNames) {
  EXPECT_EQ(PoolingFromName("mean"), Pooling::kMean);
  EXPECT_EQ(PoolingFromName("lasttoken"), Pooling::kLastToken);
  EXPECT_FALSE(PoolingFromName("median").has_value());
}

}  // namespace
}  // namespace mlos::preprocess
