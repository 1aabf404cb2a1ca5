// SPDX-License-Identifier: Apache-2.0
#include "infer/model_interface.h"

#include <gtest/gtest.h>

namespace mlos {
namespace {

TensorSpec Spec(Shape shape) { return {.name = "x", .dtype = DType::kFp32, .shape = std::move(shape)}; }

TEST(FitShapeTest, KeepsWhatAlreadyMatches) {
  EXPECT_EQ(FitShape(Spec({-1, 3}), {5, 3}).value(), (Shape{5, 3}));
  EXPECT_EQ(FitShape(Spec({}), {}).value(), (Shape{}));
}

TEST(FitShapeTest, PutsAMissingBatchDimensionInFront) {
  EXPECT_EQ(FitShape(Spec({-1, -1}), {3}).value(), (Shape{1, 3}));
  EXPECT_EQ(FitShape(Spec({1, 3, 2, 2}), {3, 2, 2}).value(), (Shape{1, 3, 2, 2}));
}

TEST(FitShapeTest, FillsFlatValuesIntoTheDeclaredShape) {
  EXPECT_EQ(FitShape(Spec({-1, 3, 224, 224}), {150528}).value(), (Shape{1, 3, 224, 224}));
  EXPECT_EQ(FitShape(Spec({-1, 3, 2, 2}), {24}).value(), (Shape{2, 3, 2, 2}));
  EXPECT_EQ(FitShape(Spec({1, 8, -1}), {16}).value(), (Shape{1, 8, 2}));
}

TEST(FitShapeTest, NamesTheInputAndBothShapesWhenNothingFits) {
  const Status s = FitShape(Spec({-1, 3, 224, 224}), {7}).status();
  EXPECT_EQ(s.code(), Code::kUnprocessable);
  EXPECT_EQ(s.message(), "input 'x': wanted FP32 [?, 3, 224, 224], got shape [7]");
  EXPECT_FALSE(FitShape(Spec({2, 2}), {2, 3}).ok());
  EXPECT_FALSE(FitShape(Spec({-1, 0}), {5}).ok());
  EXPECT_FALSE(FitShape(Spec({-1, 3, -1, -1}), {12}).ok()) << "height and width cannot be told apart";
}

TEST(CheckTensorTest, ChecksDtypeAndFixedDimensions) {
  const Result<Tensor> t = Tensor::Allocate(DType::kFp32, {2, 3});
  EXPECT_TRUE(CheckTensor(Spec({-1, 3}), *t).ok());
  EXPECT_FALSE(CheckTensor(Spec({-1, 4}), *t).ok());
  TensorSpec ints = Spec({-1, 3});
  ints.dtype = DType::kInt64;
  EXPECT_EQ(CheckTensor(ints, *t).message(), "input 'x': wanted INT64 [?, 3], got dtype FP32");
}

}  // namespace
}  // namespace mlos
