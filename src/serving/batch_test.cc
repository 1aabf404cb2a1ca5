// SPDX-License-Identifier: Apache-2.0
#include "serving/batch.h"

#include <gtest/gtest.h>

namespace mlos::serving {
namespace {

NamedTensor Floats(const std::string& name, Shape shape, const std::vector<float>& values) {
  return {name, Tensor::FromValues<float>(DType::kFp32, std::move(shape), values).value()};
}

Request With(NamedTensor input) {
  Request request;
  request.inputs.push_back(std::move(input));
  return request;
}

ModelInterface Rows() {
  ModelInterface model;
  model.executes = true;
  model.batch_dimension = 0;
  model.inputs = {{.name = "x", .dtype = DType::kFp32, .shape = {-1, -1}}};
  model.outputs = {{.name = "y", .dtype = DType::kFp32, .shape = {-1, -1}}};
  return model;
}

std::vector<float> Values(const Tensor& tensor) {
  const auto span = tensor.As<float>();
  return {span.begin(), span.end()};
}

TEST(BatchKeyTest, RequestsOfTheSameRowsBelongTogetherWhateverTheirNumberOfRows) {
  const ModelInterface model = Rows();
  const BatchKey one = BatchKeyOf(model, With(Floats("x", {1, 2}, {1, 2})), 7);
  const BatchKey two = BatchKeyOf(model, With(Floats("x", {2, 2}, {1, 2, 3, 4})), 7);
  EXPECT_EQ(one.rows, 1u);
  EXPECT_EQ(two.rows, 2u);
  EXPECT_EQ(one.row_elements, two.row_elements);
  EXPECT_EQ(one.group, two.group);
  EXPECT_NE(one.group, 0u);
}

TEST(BatchKeyTest, WhatDiffersIsKeptApart) {
  const ModelInterface model = Rows();
  const uint64_t group = BatchKeyOf(model, With(Floats("x", {1, 2}, {1, 2})), 7).group;
  EXPECT_NE(BatchKeyOf(model, With(Floats("x", {1, 3}, {1, 2, 3})), 7).group, group);
  EXPECT_NE(BatchKeyOf(model, With(Floats("z", {1, 2}, {1, 2})), 7).group, group);
  EXPECT_NE(BatchKeyOf(model, With(Floats("x", {1, 2}, {1, 2})), 8).group, group) << "another model";
  Request wants_one = With(Floats("x", {1, 2}, {1, 2}));
  wants_one.outputs = {"y"};
  EXPECT_NE(BatchKeyOf(model, wants_one, 7).group, group);
}

TEST(BatchKeyTest, AModelThatCannotBeBatchedHasNoGroup) {
  ModelInterface model = Rows();
  model.batch_dimension = -1;
  EXPECT_EQ(BatchKeyOf(model, With(Floats("x", {1, 2}, {1, 2})), 7).group, 0u);
  model = Rows();
  model.outputs[0].dtype = DType::kBytes;
  EXPECT_EQ(BatchKeyOf(model, With(Floats("x", {1, 2}, {1, 2})), 7).group, 0u);
  EXPECT_EQ(BatchKeyOf(Rows(), With(Floats("x", {0, 2}, {})), 7).group, 0u) << "no row";
}

TEST(BatchTest, WhatIsJoinedComesApartAgain) {
  const Request a = With(Floats("x", {1, 2}, {1, 2}));
  const Request b = With(Floats("x", {2, 2}, {3, 4, 5, 6}));
  const std::vector<const Request*> requests = {&a, &b};
  Result<std::vector<NamedTensor>> joined = JoinInputs(requests);
  ASSERT_TRUE(joined.ok()) << joined.status().message();
  EXPECT_EQ((*joined)[0].tensor.shape(), (Shape{3, 2}));
  const std::vector<uint32_t> rows = {1, 2};
  const auto parts = SplitOutputs(*joined, rows);
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(Values((*parts)[0][0].tensor), (std::vector<float>{1, 2}));
  EXPECT_EQ(Values((*parts)[1][0].tensor), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ((*parts)[1][0].tensor.shape(), (Shape{2, 2}));
}

TEST(BatchTest, OutputsWithOtherRowsAreNoBatch) {
  std::vector<NamedTensor> outputs;
  outputs.push_back(Floats("y", {4, 1}, {1, 2, 3, 4}));
  const std::vector<uint32_t> rows = {1, 2};
  EXPECT_FALSE(SplitOutputs(outputs, rows).ok());
}

TEST(BatchTest, DifferentRequestsAreNotJoined) {
  const Request a = With(Floats("x", {1, 2}, {1, 2}));
  const Request b = With(Floats("x", {1, 3}, {3, 4, 5}));
  const std::vector<const Request*> requests = {&a, &b};
  EXPECT_FALSE(JoinInputs(requests).ok());
}

}  // namespace
}  // namespace mlos::serving
