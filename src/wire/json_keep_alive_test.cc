// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json_infer.h"

namespace mlos::wire {
namespace {

ModelInterface OneInput(const std::string& name) {
  ModelInterface model;
  model.executes = true;
  model.inputs = {{.name = name, .dtype = DType::kFp32, .shape = {-1}}};
  return model;
}

TEST(JsonKeepAliveTest, StandsInTheBodyOrInParametersAsSecondsOrText) {
  const ModelInterface model = OneInput("x");
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(DecodeInferJson(R"({"x":[1],"keep_alive":30})", model)->keep_alive_ns, 30 * kSecond);
  EXPECT_EQ(DecodeInferJson(R"({"x":[1],"keep_alive":"5m"})", model)->keep_alive_ns, 300 * kSecond);
  EXPECT_EQ(DecodeInferJson(R"({"x":[1],"parameters":{"keep_alive":0}})", model)->keep_alive_ns, 0);
  EXPECT_EQ(DecodeInferJson(R"({"x":[1],"keep_alive":-1})", model)->keep_alive_ns, -1);
  EXPECT_FALSE(DecodeInferJson(R"({"x":[1]})", model)->keep_alive_ns.has_value());
}

TEST(JsonKeepAliveTest, WhatIsNoDurationIsRefusedByName) {
  const ModelInterface model = OneInput("x");
  for (const char* bad : {R"({"x":[1],"keep_alive":"soon"})", R"({"x":[1],"keep_alive":true})",
                          R"({"x":[1],"keep_alive":1e999})", R"({"x":[1],"keep_alive":null})",
                          R"({"x":[1],"keep_alive":1,"parameters":{"keep_alive":2}})"}) {
    const Status status = DecodeInferJson(bad, model).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_THAT(status.message(), testing::HasSubstr("keep_alive")) << bad;
  }
}

TEST(JsonKeepAliveTest, AnInputOfThatNameIsTheInput) {
  const auto body = DecodeInferJson(R"({"keep_alive":[1,2]})", OneInput("keep_alive"));
  ASSERT_TRUE(body.ok()) << body.status().message();
  EXPECT_EQ(body->inputs.size(), 1u);
  EXPECT_FALSE(body->keep_alive_ns.has_value());
}

}  // namespace
}  // namespace mlos::wire
