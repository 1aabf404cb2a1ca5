// SPDX-License-Identifier: Apache-2.0
#include "wire/json_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <bit>
#include <limits>
#include <random>

#include "wire/json_infer.h"

namespace mlos::wire {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename T>
std::string Data(DType dtype, std::vector<T> values) {
  const Shape shape = {static_cast<int64_t>(values.size())};
  std::string out;
  EXPECT_TRUE(AppendTensorData({dtype, shape, std::as_bytes(std::span(values))}, &out).ok());
  return out;
}

TEST(JsonResponseTest, WritesEveryDtype) {
  EXPECT_EQ(Data<uint8_t>(DType::kBool, {0, 1}), "[false,true]");
  EXPECT_EQ(Data<uint8_t>(DType::kUint8, {0, 255}), "[0,255]");
  EXPECT_EQ(Data<int8_t>(DType::kInt8, {-128, 127}), "[-128,127]");
  EXPECT_EQ(Data<uint16_t>(DType::kUint16, {65535}), "[65535]");
  EXPECT_EQ(Data<int64_t>(DType::kInt64, {std::numeric_limits<int64_t>::min()}), "[-9223372036854775808]");
  EXPECT_EQ(Data<uint64_t>(DType::kUint64, {std::numeric_limits<uint64_t>::max()}), "[18446744073709551615]");
  EXPECT_EQ(Data<uint16_t>(DType::kFp16, {0x3E00, 0xC000}), "[1.5,-2]");
  EXPECT_EQ(Data<uint16_t>(DType::kBf16, {0x3FC0}), "[1.5]");
  EXPECT_EQ(Data<float>(DType::kFp32, {0.1F, std::numeric_limits<float>::infinity(), -0.0F}),
            "[0.1,null,-0]");
  EXPECT_EQ(Data<double>(DType::kFp64, {0.1, std::numeric_limits<double>::quiet_NaN()}), "[0.1,null]");
  EXPECT_EQ(Data<float>(DType::kFp32, {}), "[]");
  const std::string strings[] = {"a\"b", "\xFF"};
  const Tensor tensor = Tensor::FromStrings({2}, strings).value();
  std::string out;
  ASSERT_TRUE(AppendTensorData(tensor.view(), &out).ok());
  EXPECT_EQ(out, R"(["a\"b",{"b64":"/w=="}])");
}

TEST(JsonResponseTest, FloatsComeBackBitEqual) {
  std::mt19937 random(3);
  std::vector<float> values(50'000);
  for (float& v : values) {
    do {
      v = std::bit_cast<float>(static_cast<uint32_t>(random()));
    } while (!std::isfinite(v));
  }
  ModelInterface model;
  model.executes = true;
  model.inputs = {{.name = "x", .dtype = DType::kFp32, .shape = {-1}}};
  const Result<InferBody> back = DecodeInferJson("{\"x\":" + Data(DType::kFp32, values) + "}", model);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(std::memcmp(back->inputs[0].tensor.data().data(), values.data(), values.size() * 4), 0);
}

Response TwoOutputs() {
  Response response;
  const float a[] = {1, 2.5F};
  response.outputs.push_back({"a", Tensor::FromValues<float>(DType::kFp32, {1, 2}, a).value()});
  const int64_t b[] = {7};
  response.outputs.push_back({"b\"", Tensor::FromValues<int64_t>(DType::kInt64, {1}, b).value()});
  response.model_version = "abc";
  response.timing = {.queue_ns = 5'000, .compute_ns = 12'345, .total_ns = 2'000'000};
  return response;
}

TEST(JsonResponseTest, OutputSizeIsTheLengthOfTheOutputsTextOrOfTheirDataWithoutThem) {
  const Response response = TwoOutputs();
  const std::string with = EncodeInferResponse(response, {.model_id = "m", .request_id = "r"});
  const std::string outputs =
      R"({"a":{"datatype":"FP32","shape":[1,2],"data":[1,2.5]},"b\"":{"datatype":"INT64","shape":[1],"data":[7]}})";
  EXPECT_THAT(with, HasSubstr("\"outputs\":" + outputs));
  const std::string size = "\"output_size\":" + std::to_string(outputs.size()) + ",";
  EXPECT_THAT(with, HasSubstr(size));
  const std::string without =
      EncodeInferResponse(response, {.model_id = "m", .request_id = "r", .include_outputs = false});
  EXPECT_THAT(without, HasSubstr("\"output_size\":16,")) << "two floats and an INT64";
  EXPECT_THAT(without, Not(HasSubstr("\"outputs\"")));
  simdjson::dom::parser parser;
  const simdjson::dom::element json = parser.parse(with);
  EXPECT_EQ(std::string_view(json["status"]), "success");
  EXPECT_EQ(std::string_view(json["model_id"]), "m");
  EXPECT_EQ(int64_t(json["inference_time_us"]), 12);
  EXPECT_EQ(int64_t(json["queue_time_us"]), 5);
  EXPECT_EQ(std::string_view(json["model_version"]), "abc");
  EXPECT_EQ(double(json["latency_ms"]), 2.0);
}

TEST(JsonResponseTest, GeneratedTextCarriesItsCounts) {
  Response response;
  response.text = "a\nb";
  response.finish = FinishReason::kLength;
  response.prompt_tokens = 3;
  response.completion_tokens = 2;
  response.warnings = {"w"};
  simdjson::dom::parser parser;
  const std::string text = EncodeInferResponse(
      response, {.model_id = "m", .request_id = "r", .client_id = "c", .generated = true});
  const simdjson::dom::element json = parser.parse(text);
  EXPECT_EQ(std::string_view(json["text"]), "a\nb");
  EXPECT_EQ(std::string_view(json["finish_reason"]), "length");
  EXPECT_EQ(int64_t(json["tokens_generated"]), 2);
  EXPECT_EQ(int64_t(json["prompt_tokens"]), 3);
  EXPECT_EQ(int64_t(json["output_size"]), 6);
  EXPECT_EQ(std::string_view(json["id"]), "c");
  EXPECT_EQ(std::string_view(json["warnings"].at(0)), "w");
}

TEST(JsonResponseTest, StreamFramesAreEvents) {
  EXPECT_EQ(EncodeStreamText("a\nb"), "data: {\"text\":\"a\\nb\"}\n\n");
  const std::string done = EncodeStreamDone({}, {.model_id = "m", .request_id = "r", .generated = true});
  EXPECT_TRUE(done.starts_with("data: {\"done\":true,\"status\":\"success\""));
  EXPECT_TRUE(done.ends_with("}\n\ndata: [DONE]\n\n"));
  EXPECT_EQ(EncodeStreamError(Internal("x"), "r"),
            "data: {\"error\":{\"code\":\"internal\",\"message\":\"x\",\"request_id\":\"r\"}}\n\n");
  EXPECT_EQ(EncodeError(NotFound("x"), "m", "r"),
            R"({"status":"error","code":"not_found","message":"x","model_id":"m","request_id":"r"})");
}

}  // namespace
}  // namespace mlos::wire
