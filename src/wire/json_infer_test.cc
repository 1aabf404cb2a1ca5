// SPDX-License-Identifier: Apache-2.0
#include "wire/json_infer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/base64.h"
#include "wire/json_response.h"

namespace mlos::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TensorSpec Spec(std::string name, DType dtype, Shape shape, bool optional = false) {
  return {.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .optional = optional};
}

ModelInterface Tensors(std::vector<TensorSpec> inputs) {
  ModelInterface model;
  model.executes = true;
  model.inputs = std::move(inputs);
  model.outputs = {Spec("y", DType::kFp32, {-1, 2})};
  return model;
}

ModelInterface Bert() {
  return Tensors(
      {Spec("input_ids", DType::kInt64, {-1, -1}), Spec("attention_mask", DType::kInt64, {-1, -1}, true)});
}

ModelInterface Llm() {
  ModelInterface model;
  model.generates = true;
  model.has_chat_template = true;
  return model;
}

InferBody Decoded(std::string_view body, const ModelInterface& model) {
  Result<InferBody> result = DecodeInferJson(body, model);
  EXPECT_TRUE(result.ok()) << body << ": " << result.status().ToString();
  return result.ok() ? std::move(result).value() : InferBody{};
}

Status Refused(std::string_view body, const ModelInterface& model) {
  return DecodeInferJson(body, model).status();
}

template <typename T>
std::vector<T> Values(const InferBody& body, size_t input = 0) {
  if (input >= body.inputs.size()) return {};
  const auto span = body.inputs[input].tensor.As<T>();
  return {span.begin(), span.end()};
}

TEST(JsonInferTest, FlatNestedWrappedAndObjectFormsGiveTheSameTensor) {
  const ModelInterface model = Tensors({Spec("x", DType::kFp32, {-1, 2, 2})});
  for (const char* body :
       {R"({"x": [1, 2.5, -3, 4e0]})", R"({"x": [[1, 2.5], [-3, 4]]})", R"({"x": [[[1, 2.5], [-3, 4]]]})",
        R"({"inputs": {"x": [1, 2.5, -3, 4]}})", R"({"inputs": [1, 2.5, -3, 4]})",
        R"({"input": [[1, 2.5], [-3, 4]]})", R"([1, 2.5, -3, 4])",
        R"({"x": {"data": [1, 2.5, -3, 4], "shape": [1, 2, 2], "datatype": "FP32"}})",
        R"({"x": {"datatype": "FP32", "shape": [1, 2, 2], "data": [[1, 2.5], [-3, 4]]}})",
        R"({"x": {"data": [1, 2.5, -3, 4]}})", R"({"x": {"b64": "AACAPwAAIEAAAEDAAACAQA=="}})",
        R"({"x": {"b64": "AACAPwAAIEAAAEDAAACAQA==", "shape": [1, 2, 2]}})"}) {
    const InferBody out = Decoded(body, model);
    ASSERT_EQ(out.inputs.size(), 1U) << body;
    EXPECT_EQ(out.inputs[0].name, "x");
    EXPECT_EQ(out.inputs[0].tensor.dtype(), DType::kFp32);
    EXPECT_EQ(out.inputs[0].tensor.shape(), (Shape{1, 2, 2})) << body;
    EXPECT_THAT(Values<float>(out), ElementsAre(1, 2.5, -3, 4)) << body;
  }
}

TEST(JsonInferTest, TheQuickStartBodyBecomesABatchOfOne) {
  const InferBody out = Decoded(R"({"input_ids": [101, 7592, 102], "attention_mask": [1, 1, 1]})", Bert());
  ASSERT_EQ(out.inputs.size(), 2U);
  EXPECT_EQ(out.inputs[0].tensor.shape(), (Shape{1, 3}));
  EXPECT_THAT(Values<int64_t>(out), ElementsAre(101, 7592, 102));
  EXPECT_THAT(Values<int64_t>(out, 1), ElementsAre(1, 1, 1));
}

TEST(JsonInferTest, ABareValueMeansTheOnlyRequiredInput) {
  const InferBody out = Decoded(R"({"inputs": [101, 102]})", Bert());
  ASSERT_EQ(out.inputs.size(), 1U);
  EXPECT_EQ(out.inputs[0].name, "input_ids");
}

TEST(JsonInferTest, ScalarsAndEmptyArraysHaveTheirShapes) {
  EXPECT_EQ(Decoded(R"({"x": 3})", Tensors({Spec("x", DType::kInt32, {})})).inputs[0].tensor.shape(),
            Shape{});
  EXPECT_EQ(Decoded(R"({"x": 3})", Tensors({Spec("x", DType::kInt32, {-1})})).inputs[0].tensor.shape(),
            Shape{1});
  EXPECT_EQ(Decoded(R"({"x": []})", Tensors({Spec("x", DType::kInt32, {-1})})).inputs[0].tensor.shape(),
            Shape{0});
  EXPECT_EQ(
      Decoded(R"({"x": [[], []]})", Tensors({Spec("x", DType::kInt32, {-1, -1})})).inputs[0].tensor.shape(),
      (Shape{2, 0}));
}

TEST(JsonInferTest, ATensorWithoutElementsKeepsItsTypeAndShape) {
  // Was a tensor without a type, which no model takes: a decoder's empty past.
  const ModelInterface model = Tensors({Spec("past", DType::kFp32, {-1, 2, -1, 8})});
  for (const char* body : {R"({"past": {"shape": [1, 2, 0, 8], "data": []}})",
                           R"({"past": {"data": [], "shape": [1, 2, 0, 8], "datatype": "FP32"}})",
                           R"({"past": {"b64": "", "shape": [1, 2, 0, 8]}})"}) {
    const InferBody out = Decoded(body, model);
    ASSERT_EQ(out.inputs.size(), 1U) << body;
    EXPECT_EQ(out.inputs[0].tensor.dtype(), DType::kFp32) << body;
    EXPECT_EQ(out.inputs[0].tensor.shape(), (Shape{1, 2, 0, 8})) << body;
  }
}

TEST(JsonInferTest, MoreValuesThanDeclaredDimensionsSuggestAreABatch) {
  std::string body = R"({"x": [)";
  for (int i = 0; i < 1000; ++i) body += (i > 0 ? "," : "") + std::to_string(i);
  const InferBody out = Decoded(body + "]}", Tensors({Spec("x", DType::kInt32, {-1, 4})}));
  EXPECT_EQ(out.inputs[0].tensor.shape(), (Shape{250, 4}));
  EXPECT_EQ(Values<int32_t>(out)[999], 999);
}

TEST(JsonInferTest, ValuesThatDoNotFitNameInputElementWantedAndGot) {
  struct Case {
    DType dtype;
    const char* body;
    const char* position;
    const char* got;
  };
  for (const Case& c :
       std::vector<Case>{{DType::kUint8, R"({"x": [[1, 2], [300, 4]]})", "element [1, 0]", "300"},
                         {DType::kInt64, R"({"x": [[1, 1.5]]})", "element [0, 1]", "1.5: not an integer"},
                         {DType::kInt64, R"({"x": [[1, 1e400]]})", "element [0, 1]", "1e400: out of range"},
                         {DType::kInt64, R"({"x": [[1, true]]})", "element [0, 1]", "'true'"},
                         {DType::kFp32, R"({"x": [[1, NaN]]})", "element [0, 1]", "JSON has no NaN"},
                         {DType::kFp32, R"({"x": [[1, -Infinity]]})", "element [0, 1]", "JSON has no NaN"},
                         {DType::kFp32, R"({"x": [[null, 1]]})", "element [0, 0]", "'null'"},
                         {DType::kFp32, R"({"x": [["1", 1]]})", "element [0, 0]", "a string"},
                         {DType::kFp32, R"({"x": [[{"a": 1}, 1]]})", "element [0, 0]", "an object"},
                         {DType::kFp32, R"({"x": [[1, 1e39]]})", "element [0, 1]", "out of range"},
                         {DType::kFp16, R"({"x": [[1, 70000]]})", "element [0, 1]", "out of range"},
                         {DType::kBool, R"({"x": [[true, 2]]})", "element [0, 1]", "2: out of range"},
                         {DType::kBytes, R"({"x": [["a", 2]]})", "element [0, 1]", "the number 2"}}) {
    const Status status = Refused(c.body, Tensors({Spec("x", c.dtype, {-1, 2})}));
    EXPECT_EQ(status.code(), Code::kUnprocessable) << c.body;
    EXPECT_THAT(status.message(), HasSubstr("input 'x', " + std::string(c.position))) << c.body;
    EXPECT_THAT(status.message(), HasSubstr(c.got)) << c.body;
    EXPECT_THAT(status.message(), HasSubstr("wanted " + std::string(DTypeName(c.dtype)))) << c.body;
  }
}

TEST(JsonInferTest, RaggedNestingIsRefusedWithItsPosition) {
  const ModelInterface model = Tensors({Spec("x", DType::kFp32, {-1, -1})});
  EXPECT_THAT(Refused(R"({"x": [[1, 2], [3]]})", model).message(),
              HasSubstr("element [1]: an array of 1 elements where the ones before it have 2"));
  for (const char* body : {R"({"x": [[1, 2], 3]})", R"({"x": [1, [2]]})", R"({"x": [[], 1]})",
                           R"({"x": [[1], [[2]]]})", R"({"x": [[[]], []]})", R"({"x": [[], [1]]})"}) {
    EXPECT_EQ(Refused(body, model).code(), Code::kUnprocessable) << body;
  }
}

TEST(JsonInferTest, WrongShapesNameWhatIsDeclaredAndWhatWasSent) {
  const Status status = Refused(R"({"x": [1, 2, 3]})", Tensors({Spec("x", DType::kFp32, {1, 3, 2})}));
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("FP32 [1, 3, 2]"));
  const ModelInterface free = Tensors({Spec("x", DType::kFp32, {-1, -1})});
  for (const char* body :
       {R"({"x": {"data": [1, 2, 3], "shape": [2, 2]}})", R"({"x": {"data": [1, 2], "datatype": "INT64"}})",
        R"({"x": {"data": [1], "b64": "AAAAAA=="}})", R"({"x": {"shape": [1]}})", R"({"x": {"b64": "AAAA"}})",
        R"({"x": {"b64": "A"}})", R"({"x": {"data": [1], "shape": [-1]}})",
        R"({"x": {"data": [1], "foo": 2}})", R"({"x": {"data": [1], "shape": [4294967296, 4294967296]}})"}) {
    EXPECT_EQ(Refused(body, free).code(), Code::kUnprocessable) << body << Refused(body, free).message();
  }
}

TEST(JsonInferTest, MalformedJsonGivesTheByteOffset) {
  const ModelInterface model = Tensors({Spec("x", DType::kFp32, {-1})});
  for (const char* body :
       {"", "{", R"({"x")", R"({"x": )", R"({"x": [1, 2)", R"({"x": [1, 2,]})", R"({"x": [1 2]})",
        R"({"x": [01]})", R"({"x": [1.]})", R"({"x": [-]})", R"({"x": [1}})", R"({"x": [1]} x)",
        R"({"x": [1]},)", R"({"x": [1], })", R"({"x": 1, 2})", R"({"x": [1], "x": [2]})", R"({"x": [,1]})"}) {
    const Status status = Refused(body, model);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << body << ": " << status.message();
    EXPECT_THAT(status.message(), HasSubstr("byte ")) << body;
  }
}

TEST(JsonInferTest, AMillionBracketsAreRefused) {
  const std::string bomb(1'000'000, '[');
  const ModelInterface model = Tensors({Spec("x", DType::kFp32, {-1})});
  EXPECT_EQ(Refused("{\"x\": " + bomb, model).code(), Code::kUnprocessable);
  EXPECT_EQ(Refused(bomb, model).code(), Code::kUnprocessable);
  EXPECT_FALSE(Refused("{\"messages\": " + bomb, Llm()).ok());
  EXPECT_FALSE(Refused("{\"parameters\": " + bomb, model).ok());
}

TEST(JsonInferTest, UnknownAndMissingKeysNameTheModelsInputs) {
  const Status unknown = Refused(R"({"input_idz": [1]})", Bert());
  EXPECT_EQ(unknown.code(), Code::kUnprocessable);
  EXPECT_THAT(unknown.message(), HasSubstr("'input_idz'"));
  EXPECT_THAT(unknown.message(),
              HasSubstr("'input_ids' INT64 [?, ?], 'attention_mask' INT64 [?, ?] (optional)"));
  const Status missing = Refused(R"({"attention_mask": [1]})", Bert());
  EXPECT_EQ(missing.code(), Code::kUnprocessable);
  EXPECT_THAT(missing.message(), HasSubstr("input 'input_ids' is missing"));
  EXPECT_EQ(Refused("{}", Bert()).code(), Code::kUnprocessable);
  EXPECT_EQ(Refused(R"({"input_ids": [1], "inputs": {"input_ids": [1]}})", Bert()).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Refused(R"({"input_ids": [1], "parameters": {"truncate": true}})", Bert()).code(),
            Code::kUnprocessable);
  EXPECT_EQ(Refused(R"({"input_ids": [1], "stream": true})", Bert()).code(), Code::kUnprocessable);
}

TEST(JsonInferTest, KnownOptionalKeysAreTaken) {
  const InferBody out = Decoded(
      R"({"id": "abc", "parameters": {}, "stream": false, "outputs": ["y", "y"], "input_ids": [1]})", Bert());
  EXPECT_EQ(out.id, "abc");
  EXPECT_THAT(out.outputs, ElementsAre("y"));
  EXPECT_THAT(Refused(R"({"input_ids": [1], "outputs": ["z"]})", Bert()).message(),
              HasSubstr("no output 'z'; it has 'y'"));
}

TEST(JsonInferTest, TextGoesToModelsThatTokenizeOrTakeStrings) {
  ModelInterface embedder = Bert();
  embedder.accepts_text = true;
  for (const char* key : {"inputs", "text", "input", "prompt"}) {
    EXPECT_THAT(Decoded("{\"" + std::string(key) + "\": \"a b\"}", embedder).texts, ElementsAre("a b"));
    EXPECT_THAT(Decoded("{\"" + std::string(key) + "\": [\"a\", \"b\"]}", embedder).texts,
                ElementsAre("a", "b"));
  }
  EXPECT_EQ(Decoded(R"({"inputs": [101, 102]})", embedder).inputs.size(), 1U);
  EXPECT_EQ(Refused(R"({"inputs": []})", embedder).code(), Code::kUnprocessable);
  EXPECT_EQ(Refused(R"({"inputs": ["a", 1]})", embedder).code(), Code::kUnprocessable);
  EXPECT_EQ(Refused(R"({"inputs": "a", "input_ids": [1]})", embedder).code(), Code::kUnprocessable);
  EXPECT_EQ(Refused(R"({"inputs": "a"})", Bert()).code(), Code::kUnprocessable);

  const InferBody bytes =
      Decoded(R"({"inputs": ["a", {"b64": "/w=="}]})", Tensors({Spec("s", DType::kBytes, {-1})}));
  ASSERT_EQ(bytes.inputs.size(), 1U);
  EXPECT_THAT(DecodeStrings(bytes.inputs[0].tensor.view()).value(), ElementsAre("a", "\xFF"));
}

TEST(JsonInferTest, AnInputNamedLikeAReservedKeyIsTheInput) {
  const ModelInterface model =
      Tensors({Spec("inputs", DType::kFp32, {-1}), Spec("prompt", DType::kInt64, {-1})});
  const InferBody out = Decoded(R"({"prompt": [1], "inputs": [2]})", model);
  EXPECT_EQ(out.inputs[0].name, "prompt");
  EXPECT_THAT(Values<float>(out, 1), ElementsAre(2));
}

TEST(JsonInferTest, GenerationParametersAreReadAndBounded) {
  const InferBody out =
      Decoded(R"({"prompt": "hi", "max_tokens": 5, "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.1,
      "seed": 18446744073709551615, "stop": ["a", "b"], "repeat_penalty": 1.5, "stream": true})",
              Llm());
  ASSERT_TRUE(out.generation.has_value());
  EXPECT_EQ(out.generation->prompt, "hi");
  EXPECT_EQ(out.generation->max_tokens, 5U);
  EXPECT_EQ(out.generation->temperature, 0.0F);
  EXPECT_EQ(out.generation->top_p, 0.5F);
  EXPECT_EQ(out.generation->top_k, 3);
  EXPECT_EQ(out.generation->min_p, 0.1F);
  EXPECT_EQ(out.generation->seed, 18446744073709551615U);
  EXPECT_THAT(out.generation->stop, ElementsAre("a", "b"));
  EXPECT_EQ(out.generation->repeat_penalty, 1.5F);
  EXPECT_TRUE(out.generation->stream);
  EXPECT_EQ(Decoded(R"({"inputs": "hi", "parameters": {"max_new_tokens": 7}})", Llm()).generation->max_tokens,
            7U);

  for (const char* bad :
       {R"("max_tokens": 0)", R"("max_tokens": -1)", R"("max_tokens": 1.5)", R"("max_tokens": "5")",
        R"("temperature": -1)", R"("temperature": null)", R"("top_p": 0)", R"("top_p": 1.1)",
        R"("top_k": -1)", R"("min_p": 1)", R"("seed": -1)", R"("stop": [1])", R"("stop": "")",
        R"("repeat_penalty": 0)", R"("stream": 1)", R"("logprobs": 1)"}) {
    const Status status = Refused("{\"prompt\": \"x\", " + std::string(bad) + "}", Llm());
    EXPECT_EQ(status.code(), Code::kUnprocessable) << bad << status.message();
    const std::string_view key = std::string_view(bad).substr(1, std::string_view(bad).find('"', 1) - 1);
    EXPECT_THAT(status.message(), HasSubstr("'" + std::string(key) + "'")) << bad;
  }
}

TEST(JsonInferTest, ChatMessagesOrAPromptButNotBoth) {
  const InferBody out = Decoded(
      R"({"messages": [{"role": "user", "content": "hi"}, {"content": "yo", "role": "assistant"}]})", Llm());
  ASSERT_EQ(out.generation->messages.size(), 2U);
  EXPECT_EQ(out.generation->messages[1].role, "assistant");
  EXPECT_EQ(out.generation->messages[1].content, "yo");
  for (const char* bad :
       {"{}", R"({"prompt": "a", "messages": [{"role": "user", "content": "hi"}]})", R"({"messages": []})",
        R"({"messages": [{"role": "user"}]})", R"({"messages": [{"role": 1, "content": ""}]})",
        R"({"messages": ["a"]})", R"({"prompt": ["a", "b"]})", R"({"prompt": 1})", R"({"prompt": [1, 2]})"}) {
    EXPECT_EQ(Refused(bad, Llm()).code(), Code::kUnprocessable) << bad;
  }
  ModelInterface plain = Llm();
  plain.has_chat_template = false;
  EXPECT_THAT(Refused(R"({"messages": [{"role": "user", "content": "hi"}]})", plain).message(),
              HasSubstr("no chat template"));
}

TEST(JsonInferTest, RawBytesAreTheOnlyInput) {
  const float values[] = {1, 2, 3, 4};
  const std::string_view bytes(reinterpret_cast<const char*>(values), sizeof values);
  const ModelInterface model = Tensors({Spec("x", DType::kFp32, {-1, 4})});
  const Result<InferBody> out = DecodeInferBytes(bytes, model);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->inputs[0].tensor.shape(), (Shape{1, 4}));
  EXPECT_THAT(Values<float>(*out), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(DecodeInferBytes(bytes.substr(1), model).status().code(), Code::kUnprocessable);
  EXPECT_EQ(DecodeInferBytes(bytes.substr(4), model).status().code(), Code::kUnprocessable);
  EXPECT_EQ(DecodeInferBytes("\x02", Tensors({Spec("x", DType::kBool, {1})})).status().code(),
            Code::kUnprocessable);
}

}  // namespace
}  // namespace mlos::wire
