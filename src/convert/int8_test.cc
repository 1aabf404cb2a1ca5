// SPDX-License-Identifier: Apache-2.0
#include "convert/int8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mlos::convert {
namespace {

TEST(Int8Test, EveryElementIsWithinHalfAStepAndTransposed) {
  std::vector<float> source;
  for (int i = 0; i < 6 * 5; ++i) source.push_back(static_cast<float>(std::sin(i)) * (i < 5 ? 100.0F : 1.0F));
  const auto matrix = QuantizeMatrix(std::as_bytes(std::span(source)), DType::kFp32, {6, 5}, {});
  ASSERT_TRUE(matrix.ok()) << matrix.status().ToString();
  for (size_t j = 0; j < 6; ++j) {
    for (size_t i = 0; i < 5; ++i) {
      const float back = static_cast<float>(matrix->values[i * 6 + j]) * matrix->scales[j];
      EXPECT_NEAR(back, source[j * 5 + i], matrix->scales[j] * 0.501);
    }
  }
  EXPECT_GT(matrix->scales[0], 10 * matrix->scales[1]);  // each row has its own
}

TEST(Int8Test, RowsOfZerosStayZeroAndStridesAreFollowed) {
  const std::vector<float> source = {0, 1, 0, -2, 0, 3};  // columns of a [3, 2]
  const auto matrix = QuantizeMatrix(std::as_bytes(std::span(source)), DType::kFp32, {2, 3}, {1, 2});
  ASSERT_TRUE(matrix.ok());
  EXPECT_EQ(matrix->scales[0], 0);
  EXPECT_EQ(matrix->values, (std::vector<int8_t>{0, 21, 0, -43, 0, 64}));
}

TEST(Int8Test, NarrowTypesAreRead) {
  const std::vector<uint16_t> source = {FloatToBf16(1.0F), FloatToBf16(-0.5F)};
  EXPECT_EQ(QuantizeMatrix(std::as_bytes(std::span(source)), DType::kBf16, {1, 2}, {})->values,
            (std::vector<int8_t>{64, -32}));
}

TEST(Int8Test, WhatIsNotFiniteOrCutShortIsRefused) {
  const std::vector<float> source = {1, std::numeric_limits<float>::infinity()};
  EXPECT_EQ(QuantizeMatrix(std::as_bytes(std::span(source)), DType::kFp32, {1, 2}, {}).status().code(),
            Code::kDataLoss);
  EXPECT_EQ(QuantizeMatrix(std::as_bytes(std::span(source)), DType::kFp32, {2, 2}, {}).status().code(),
            Code::kDataLoss);
}

}  // namespace
}  // namespace mlos::convert
