// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <limits>

namespace mlos {
namespace {

TEST(TensorTest, RankZeroHoldsOneElement) {
  const Result<Tensor> t = Tensor::Allocate(DType::kFp64, {});
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->element_count(), 1);
  EXPECT_EQ(t->data().size(), 8u);
}

TEST(TensorTest, AZeroDimensionMakesAnEmptyTensor) {
  const Result<Tensor> t = Tensor::Allocate(DType::kInt64, {2, 0, 3});
  ASSERT_TRUE(t.ok()) << t.status().ToString();
  EXPECT_EQ(t->element_count(), 0);
  EXPECT_TRUE(t->data().empty());
}

TEST(TensorTest, RejectsShapesThatOverflowOrAreNegative) {
  constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(Tensor::Allocate(DType::kFp32, {kBig, 2}).ok());
  EXPECT_FALSE(Tensor::Allocate(DType::kFp32, {kBig}).ok());
  EXPECT_FALSE(Tensor::Allocate(DType::kFp32, {-1}).ok());
  EXPECT_FALSE(Tensor::Allocate(DType::kBytes, {1}).ok());
}

TEST(TensorTest, CopyWantsExactlyTheBytesOfItsShape) {
  const std::vector<float> values = {1, 2, 3};
  EXPECT_FALSE(Tensor::FromValues<float>(DType::kFp32, {2}, values).ok());
  const Result<Tensor> t = Tensor::FromValues<float>(DType::kFp32, {3, 1}, values);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->As<float>()[2], 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t->data().data()) % 64, 0u);
}

TEST(TensorTest, StringsReadBack) {
  const std::vector<std::string> strings = {"", "a", std::string("b\0c", 3)};
  const Result<Tensor> t = Tensor::FromStrings({3}, strings);
  ASSERT_TRUE(t.ok());
  const auto views = DecodeStrings(*t);
  ASSERT_TRUE(views.ok());
  EXPECT_EQ(std::vector<std::string>(views->begin(), views->end()), strings);
}

TEST(TensorTest, RejectsStringEncodingsThatLie) {
  const std::vector<uint32_t> too_long = {5, 0};
  EXPECT_FALSE(Tensor::Copy(DType::kBytes, {1}, std::as_bytes(std::span(too_long))).ok());
  const std::vector<uint32_t> trailing = {0, 0};
  EXPECT_FALSE(Tensor::Copy(DType::kBytes, {1}, std::as_bytes(std::span(trailing))).ok());
  EXPECT_FALSE(Tensor::Copy(DType::kBytes, {int64_t{1} << 40}, {}).ok());
}

TEST(TensorTest, ReshapeKeepsTheElementCount) {
  Result<Tensor> t = Tensor::Allocate(DType::kUint8, {6});
  ASSERT_TRUE(t.ok());
  EXPECT_TRUE(t->Reshape({2, 3}).ok());
  EXPECT_FALSE(t->Reshape({4}).ok());
  EXPECT_EQ(t->shape(), (Shape{2, 3}));
}

}  // namespace
}  // namespace mlos
