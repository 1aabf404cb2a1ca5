// SPDX-License-Identifier: Apache-2.0
// The plugin through its table, with the real engine, on the fixture models of tests/models/onnx.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "client.h"
#include "smi/plugin_util.h"

namespace {

using smi_test::Model;
using smi_test::Options;
using smi_test::Outcome;
using smi_test::Plugin;
using smi_test::Recorder;
using smi_test::Tensor;
using ::testing::HasSubstr;

const std::filesystem::path kModels = std::filesystem::path(MLOS_SOURCE_DIR) / "tests/models/onnx";
const std::filesystem::path kLibrary = MLOS_PLUGIN;
const std::vector<int64_t> kScalar;

class OnnxTest : public ::testing::Test {
 protected:
  Model Load(const std::string& name, const Options& options = {}) {
    return plugin_.Load(kModels / name, options);
  }
  static Tensor Floats(const std::string& name, std::vector<int64_t> shape,
                       const std::vector<float>& values) {
    return Tensor::Of<float>(name, SMI_FP32, std::move(shape), values);
  }
  static Tensor Ints(const std::string& name, std::vector<int64_t> shape,
                     const std::vector<int64_t>& values) {
    return Tensor::Of<int64_t>(name, SMI_INT64, std::move(shape), values);
  }

  Plugin plugin_{kLibrary};
};

// First in this file, because the engine decides when its first environment is made.
TEST(OnnxTelemetryTest, WritesNoUsageDataIntoTheUsersFolders) {
  std::string pattern = (std::filesystem::temp_directory_path() / "mlos_home_XXXXXX").string();
  const std::filesystem::path home = mkdtemp(pattern.data());
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"}) setenv(name, home.c_str(), 1);
  {
    const Plugin plugin(kLibrary);
    const Model model = plugin.Load(kModels / "identity_rank0.onnx");
    EXPECT_EQ(model.Execute({Tensor::Of<float>("x", SMI_FP32, kScalar, {1})}).code, SMI_OK);
  }
  EXPECT_TRUE(std::filesystem::is_empty(home));
  std::filesystem::remove_all(home);
}

// --- dtypes and shapes -----------------------------------------------------------------------------------------

struct DTypeCase {
  const char* model;
  smi_dtype dtype;
};
class OnnxDTypeTest : public OnnxTest, public ::testing::WithParamInterface<DTypeCase> {};

TEST_P(OnnxDTypeTest, GoesThereAndBackBitForBit) {
  const Model model = Load(std::string("identity_") + GetParam().model + ".onnx");
  EXPECT_EQ(model.input(0).dtype, GetParam().dtype);
  Tensor x{"x", GetParam().dtype, {2, 3}, ""};
  if (x.dtype == SMI_BYTES) {
    x = Tensor::Strings(
        "x", {2, 3}, {"", "a", std::string("zero\0inside", 11), "\xC3\xA4", std::string(5000, 'z'), "end"});
  } else {
    const size_t size = 6 * smi_dtype_size(x.dtype);
    for (size_t i = 0; i < size; ++i)
      x.bytes.push_back(static_cast<char>(x.dtype == SMI_BOOL ? i % 2 : 37 * i + 11));
  }
  const Outcome outcome = model.Execute({x});
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  ASSERT_EQ(outcome.outputs.size(), 1U);
  EXPECT_EQ(outcome.outputs[0].name, "y");
  EXPECT_EQ(outcome.outputs[0].dtype, GetParam().dtype);
  EXPECT_EQ(outcome.outputs[0].shape, x.shape);
  EXPECT_EQ(outcome.outputs[0].bytes, x.bytes);
}

TEST_P(OnnxDTypeTest, TakesNoElements) {
  const Model model = Load(std::string("identity_") + GetParam().model + ".onnx");
  const Outcome outcome = model.Execute({{"x", GetParam().dtype, {0, 3}, ""}});
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  EXPECT_EQ(outcome.outputs[0].shape, (std::vector<int64_t>{0, 3}));
}

INSTANTIATE_TEST_SUITE_P(DTypes, OnnxDTypeTest,
                         ::testing::Values(DTypeCase{"bool", SMI_BOOL}, DTypeCase{"uint8", SMI_UINT8},
                                           DTypeCase{"uint16", SMI_UINT16}, DTypeCase{"uint32", SMI_UINT32},
                                           DTypeCase{"uint64", SMI_UINT64}, DTypeCase{"int8", SMI_INT8},
                                           DTypeCase{"int16", SMI_INT16}, DTypeCase{"int32", SMI_INT32},
                                           DTypeCase{"int64", SMI_INT64}, DTypeCase{"float16", SMI_FP16},
                                           DTypeCase{"bfloat16", SMI_BF16}, DTypeCase{"float32", SMI_FP32},
                                           DTypeCase{"float64", SMI_FP64}, DTypeCase{"string", SMI_BYTES}),
                         [](const auto& param) { return std::string(param.param.model); });

TEST_F(OnnxTest, TakesScalarsAndFiveDimensions) {
  const Outcome scalar = Load("identity_rank0.onnx").Execute({Floats("x", kScalar, {7})});
  ASSERT_EQ(scalar.code, SMI_OK) << scalar.message;
  EXPECT_TRUE(scalar.outputs[0].shape.empty());
  EXPECT_EQ(scalar.outputs[0].As<float>(), std::vector<float>{7});

  const Tensor x = Floats("x", {1, 2, 3, 2, 5}, std::vector<float>(60, 1.5F));
  const Outcome five = Load("identity_rank5.onnx").Execute({x});
  ASSERT_EQ(five.code, SMI_OK) << five.message;
  EXPECT_EQ(five.outputs[0].shape, x.shape);
}

// --- what the framework answers --------------------------------------------------------------------------------

// A JSON array of any depth, as flat values and a shape.
void Flatten(simdjson::dom::element json, size_t depth, std::vector<double>* values,
             std::vector<int64_t>* shape) {
  simdjson::dom::array array;
  bool flag = false;
  if (json.get(array) == simdjson::SUCCESS) {
    if (shape->size() == depth) shape->push_back(static_cast<int64_t>(array.size()));
    for (const simdjson::dom::element item : array) Flatten(item, depth + 1, values, shape);
  } else if (json.get(flag) == simdjson::SUCCESS) {
    values->push_back(flag ? 1 : 0);
  } else {
    double number = 0;
    EXPECT_EQ(json.get(number), simdjson::SUCCESS);
    values->push_back(number);
  }
}

template <typename T>
std::vector<T> Cast(const std::vector<double>& values) {
  std::vector<T> out;
  for (const double value : values) out.push_back(static_cast<T>(value));
  return out;
}

TEST_F(OnnxTest, AnswersWhatNumpyAnswers) {
  simdjson::dom::parser parser;
  simdjson::dom::element golden;
  ASSERT_EQ(parser.load((kModels / "golden.json").string()).get(golden), simdjson::SUCCESS);
  for (const simdjson::dom::element c : golden["cases"].get_array()) {
    const std::string name{c["model"].get_string().value()};
    SCOPED_TRACE(name);
    const Model model = Load(name);
    std::vector<Tensor> inputs;
    for (const auto [key, json] : c["inputs"].get_object()) {
      std::vector<double> values;
      std::vector<int64_t> shape;
      Flatten(json, 0, &values, &shape);
      for (uint32_t i = 0; i < model.info().n_inputs; ++i) {
        if (std::string_view(model.input(i).name.data, model.input(i).name.size) != key) continue;
        const std::string input(key);
        inputs.push_back(model.input(i).dtype == SMI_INT64 ? Ints(input, shape, Cast<int64_t>(values))
                                                           : Floats(input, shape, Cast<float>(values)));
      }
    }
    const Outcome outcome = model.Execute(inputs);
    ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
    for (const auto [key, json] : c["outputs"].get_object()) {
      std::vector<double> wanted;
      std::vector<int64_t> shape;
      Flatten(json, 0, &wanted, &shape);
      const Tensor* got = outcome.Find(key);
      ASSERT_NE(got, nullptr) << key;
      EXPECT_EQ(got->shape, shape);
      std::vector<double> values;
      for (const float v : got->dtype == SMI_FP32 ? got->As<float>() : std::vector<float>())
        values.push_back(v);
      for (const uint8_t v : got->dtype == SMI_BOOL ? got->As<uint8_t>() : std::vector<uint8_t>())
        values.push_back(v);
      EXPECT_THAT(values, ::testing::Pointwise(::testing::DoubleNear(1e-5), wanted));
    }
  }
}

// --- what a model says of itself -------------------------------------------------------------------------------

std::string Spec(const smi_tensor_spec& spec) {
  std::string out(spec.name.data, spec.name.size);
  out += std::string(" ") + smi_dtype_name(spec.dtype);
  for (uint32_t i = 0; i < spec.rank; ++i) {
    out += " " + (spec.shape[i] >= 0 ? std::to_string(spec.shape[i])
                                     : std::string(spec.dim_names[i].data, spec.dim_names[i].size));
  }
  if (spec.flags & SMI_SPEC_OPTIONAL)
    out += " (" + std::string(spec.description.data, spec.description.size) + ")";
  return out;
}

TEST_F(OnnxTest, DescribesInputsWithTheNamesOfTheirDimensions) {
  const Model two = Load("two_inputs.onnx");
  EXPECT_EQ(Spec(two.input(0)), "left FP32 N 3");
  EXPECT_EQ(Spec(two.input(1)), "right INT64 N 3");
  EXPECT_EQ(Spec(two.output(1)), "larger BOOL N 3");
  EXPECT_EQ(two.info().batch_dimension, 0);
  EXPECT_EQ(Load("identity_rank0.onnx").info().batch_dimension, -1);
  EXPECT_EQ(Load("external/model.onnx").info().parameter_count, 8U * 16U + 16U);
}

TEST_F(OnnxTest, MarksInputsThatHaveADefault) {
  const Model sequence = Load("sequence.onnx");
  EXPECT_EQ(Spec(sequence.input(0)), "input_ids INT64 batch sequence");
  EXPECT_EQ(Spec(sequence.input(1)),
            "attention_mask INT64 batch sequence (left out: ones, shaped like input_ids)");
  EXPECT_EQ(Spec(sequence.input(2)),
            "token_type_ids INT64 batch sequence (left out: zeros, shaped like input_ids)");
  EXPECT_EQ(sequence.info().batch_dimension, 0);
  const Model own = Load("optional_input.onnx");
  EXPECT_EQ(Spec(own.input(1)), "scale FP32 (left out: the model's own value)");
  EXPECT_EQ(own.info().batch_dimension, -1);
}

// --- outputs ---------------------------------------------------------------------------------------------------

TEST_F(OnnxTest, ComputesOnlyTheOutputsThatAreAskedFor) {
  const Model model = Load("two_inputs.onnx");
  const std::string name = "larger";
  const smi_str wanted = smi_test::Borrow(std::string_view(name));
  const std::vector<Tensor> inputs = {Floats("left", {1, 3}, {1, 2, 3}), Ints("right", {1, 3}, {0, 2, 4})};
  const Outcome outcome = model.Execute(inputs, [&](smi_execute_params* params) {
    params->outputs = &wanted;
    params->n_outputs = 1;
  });
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  ASSERT_EQ(outcome.outputs.size(), 1U);
  EXPECT_EQ(outcome.outputs[0].As<uint8_t>(), (std::vector<uint8_t>{1, 0, 0}));
}

TEST_F(OnnxTest, WritesIntoTheHostsMemoryWhenTheShapeIsKnown) {
  const Model model = Load("two_inputs.onnx");
  const std::vector<Tensor> inputs = {Floats("left", {2, 3}, {1, 2, 3, 4, 5, 6}),
                                      Ints("right", {2, 3}, {1, 1, 1, 1, 1, 1})};
  const Outcome offered = model.Execute(inputs);
  EXPECT_EQ(offered.reserved_used, 2);
  Recorder without;
  without.offer_memory = false;
  const Outcome own = model.Execute(inputs, {}, &without);
  ASSERT_EQ(own.code, SMI_OK);
  EXPECT_EQ(own.reserved_used, 0);
  EXPECT_EQ(own.Find("sum")->bytes, offered.Find("sum")->bytes);
  EXPECT_EQ(own.Find("sum")->As<float>(), (std::vector<float>{2, 3, 4, 5, 6, 7}));
}

// --- errors ----------------------------------------------------------------------------------------------------

TEST_F(OnnxTest, SaysWhichInputWasWantedAndWhatCame) {
  const Model model = Load("two_inputs.onnx");
  const Tensor left = Floats("left", {1, 3}, {1, 2, 3});
  const auto refused = [&](const std::vector<Tensor>& inputs) {
    const Outcome outcome = model.Execute(inputs);
    EXPECT_TRUE(outcome.refused);
    EXPECT_EQ(outcome.code, SMI_BAD_INPUT);
    return outcome.message;
  };
  EXPECT_EQ(refused({left}), "input 'right' is missing: wanted INT64 [N, 3]");
  EXPECT_EQ(refused({left, Floats("right", {1, 3}, {1, 2, 3})}),
            "input 'right': wanted INT64 [N, 3], got FP32 [1, 3]");
  EXPECT_EQ(refused({left, Ints("right", {1, 4}, {1, 2, 3, 4})}),
            "input 'right': wanted INT64 [N, 3], got INT64 [1, 4]");
  EXPECT_EQ(refused({left, Ints("right", {3}, {1, 2, 3})}),
            "input 'right': wanted INT64 [N, 3], got INT64 [3]");
  EXPECT_EQ(refused({left, Ints("wrong", {1, 3}, {1, 2, 3})}),
            "the model has no input 'wrong'; there are: 'left', 'right'");
}

TEST_F(OnnxTest, CallsAValueTheModelCannotTakeABadInputAndGoesOn) {
  const Model model = Load("sequence.onnx");
  const Outcome outcome = model.Execute({Ints("input_ids", {1, 2}, {5, 100000})});
  EXPECT_EQ(outcome.code, SMI_BAD_INPUT);
  EXPECT_FALSE(outcome.refused);
  EXPECT_THAT(outcome.message, HasSubstr("100000"));
  EXPECT_EQ(model.Execute({Ints("input_ids", {1, 2}, {5, 6})}).code, SMI_OK);
  EXPECT_EQ(model.stats().calls_failed, 1U);
  EXPECT_EQ(model.stats().calls_ok, 1U);
  // Values of requests do not belong in logs.
  EXPECT_THAT(plugin_.log(), ::testing::Not(HasSubstr("100000")));
}

TEST_F(OnnxTest, CallsShapesThatDoNotGoTogetherABadInput) {
  const Outcome outcome = Load("two_inputs.onnx")
                              .Execute({Floats("left", {2, 3}, {1, 2, 3, 4, 5, 6}),
                                        Ints("right", {5, 3}, std::vector<int64_t>(15, 1))});
  EXPECT_EQ(outcome.code, SMI_BAD_INPUT) << outcome.message;
}

// --- loading ---------------------------------------------------------------------------------------------------

class OnnxLoadTest : public OnnxTest {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlos_onnx_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path Write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  static std::string Read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  smi_code LoadCode(const std::filesystem::path& path, std::string* message, const Options& options = {}) {
    std::optional<Model> model;
    return plugin_.TryLoad(path, options, &model, message);
  }
  std::filesystem::path folder_;
};

TEST_F(OnnxLoadTest, TellsAMissingFileFromADamagedOne) {
  std::string message;
  EXPECT_EQ(LoadCode(folder_ / "none.onnx", &message), SMI_NOT_FOUND);
  EXPECT_THAT(message, HasSubstr("none.onnx"));
  EXPECT_EQ(LoadCode(folder_, &message), SMI_NOT_FOUND);
  EXPECT_EQ(LoadCode(Write("empty.onnx", ""), &message), SMI_CORRUPT);
  EXPECT_THAT(message, HasSubstr("is empty"));
  EXPECT_EQ(LoadCode(Write("gguf.onnx", "GGUF\3\0\0\0 and so on"), &message), SMI_CORRUPT);
  const std::string whole = Read(kModels / "two_inputs.onnx");
  for (const size_t size : {whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    EXPECT_EQ(LoadCode(Write("cut.onnx", whole.substr(0, size)), &message), SMI_CORRUPT) << size << message;
  }
}

TEST_F(OnnxLoadTest, SaysThatExternalWeightsAreMissing) {
  Write("model.onnx", Read(kModels / "external/model.onnx"));
  std::string message;
  EXPECT_EQ(LoadCode(folder_ / "model.onnx", &message), SMI_CORRUPT) << message;
  EXPECT_THAT(message, HasSubstr("weights.bin"));
  Write("weights.bin", "short");
  EXPECT_EQ(LoadCode(folder_ / "model.onnx", &message), SMI_CORRUPT) << message;
}

TEST_F(OnnxLoadTest, RefusesOptionsItDoesNotKnow) {
  std::string message;
  const auto path = kModels / "two_inputs.onnx";
  EXPECT_EQ(LoadCode(path, &message, {{"fast", "on"}}), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(message, "unknown option 'fast'; there are: optimization, prepack, arena, weight_cache");
  EXPECT_EQ(LoadCode(path, &message, {{"prepack", "maybe"}}), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(message, "option 'prepack': wanted on|off, got 'maybe'");
}

TEST_F(OnnxLoadTest, AnswersTheSameWithEveryOption) {
  const std::vector<Tensor> inputs = {Ints("input_ids", {1, 3}, {1, 2, 3})};
  const Outcome plain = Load("sequence.onnx").Execute(inputs);
  ASSERT_EQ(plain.code, SMI_OK);
  for (const Options& options : std::vector<Options>{{{"optimization", "off"}},
                                                     {{"prepack", "off"}},
                                                     {{"arena", "off"}},
                                                     {{"arena", "shrink"}},
                                                     {{"arena", "auto"}},
                                                     {{"optimization", "basic"}, {"arena", "on"}}}) {
    const Outcome outcome = Load("sequence.onnx", options).Execute(inputs);
    ASSERT_EQ(outcome.code, SMI_OK) << options[0].first << outcome.message;
    EXPECT_EQ(outcome.outputs[0].bytes, plain.outputs[0].bytes) << options[0].first;
  }
}

TEST_F(OnnxLoadTest, EstimatesExternalWeightsFromTheHeadersAlone) {
  // The weights are not even there.
  const auto path = Write("model.onnx", Read(kModels / "external/model.onnx"));
  smi_estimate estimate{};
  std::string message;
  ASSERT_EQ(plugin_.Estimate(path, &estimate, &message), SMI_OK) << message;
  EXPECT_EQ(estimate.mapped_bytes, (8U * 16U + 16U) * sizeof(float));
  EXPECT_GT(estimate.private_bytes, 0U);
}

TEST(OnnxOpenTest, RefusesOptionsItDoesNotKnow) {
  smi_error error = smi_test::NoError();
  const smi_plugin_api* api = Plugin::Entry(kLibrary)(SMI_VERSION, &error);
  smi_host_api host{};
  host.struct_size = sizeof host;
  host.log = [](void*, int32_t, smi_str) {};
  smi_plugin* plugin = nullptr;
  const smi_option option = {smi_text("threads"), smi_text("many")};
  EXPECT_EQ(api->open(&host, &option, 1, &plugin, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(smi_test::Message(error), "option 'threads': wanted a number from 0 to 1024, got 'many'");
}

TEST(OnnxOpenTest, TakesThreadsAndSpin) {
  const Plugin plugin(kLibrary, {{"threads", "2"}, {"spin", "on"}});
  const Model model = plugin.Load(kModels / "two_inputs.onnx");
  EXPECT_EQ(model.info().n_inputs, 2U);
  EXPECT_EQ(std::string(plugin.info().engine_version.data, plugin.info().engine_version.size).substr(0, 2),
            "1.");
}

size_t ThreadsOfThisProcess() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

TEST(OnnxOpenTest, SharesOnePoolOfThreadsAmongAllModelsThatDoNotSpin) {
  const size_t before = ThreadsOfThisProcess();
  const Plugin plugin(kLibrary, {{"threads", "3"}, {"spin", "off"}});
  // The calling thread is the third.
  EXPECT_EQ(ThreadsOfThisProcess(), before + 2);
  std::vector<Model> models;
  for (int i = 0; i < 5; ++i) models.push_back(plugin.Load(kModels / "two_inputs.onnx"));
  EXPECT_EQ(ThreadsOfThisProcess(), before + 2);
}

TEST(OnnxOpenTest, GivesAModelThatMayUseOneThreadNoneOfItsOwn) {
  const Plugin plugin(kLibrary, {{"threads", "3"}});
  const size_t before = ThreadsOfThisProcess();
  const std::string path = (kModels / "two_inputs.onnx").string();
  smi_load_params params = Plugin::LoadParams(path, {});
  smi_error error = smi_test::NoError();
  for (const uint32_t n_threads : {1U, 2U}) {
    params.n_threads = n_threads;
    smi_model* loaded = nullptr;
    ASSERT_EQ(plugin.api().load(plugin.get(), &params, &loaded, &error), SMI_OK) << error.message;
    const Model model(&plugin.api(), loaded);
    EXPECT_EQ(ThreadsOfThisProcess(), before + n_threads - 1);
    EXPECT_EQ(model
                  .Execute({Tensor::Of<float>("left", SMI_FP32, {1, 3}, {1, 2, 3}),
                            Tensor::Of<int64_t>("right", SMI_INT64, {1, 3}, {1, 2, 3})})
                  .code,
              SMI_OK);
  }
}

// --- running ---------------------------------------------------------------------------------------------------

TEST_F(OnnxTest, EndsALongRunSoonAfterItIsCancelled) {
  const Model model = Load("slow.onnx");
  Recorder recorder;
  Outcome outcome;
  std::thread runner(
      [&] { outcome = model.Execute({Ints("iterations", kScalar, {1'000'000'000})}, {}, &recorder); });
  while (!recorder.Cancel(model.api(), model.get()))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto cancelled = std::chrono::steady_clock::now();
  runner.join();
  EXPECT_EQ(outcome.code, SMI_CANCELLED);
  // The model would run for hours.
  EXPECT_LT(std::chrono::steady_clock::now() - cancelled, std::chrono::seconds(10));
  EXPECT_EQ(model.stats().running, 0U);
  EXPECT_EQ(model.Execute({Ints("iterations", kScalar, {2})}).code, SMI_OK);
}

TEST_F(OnnxTest, CallsACancelAfterTheDeadlineADeadline) {
  const Model model = Load("slow.onnx");
  Recorder recorder;
  Outcome outcome;
  std::atomic<bool> ended = false;
  const int64_t deadline_ns = smi_now_ns() + 50'000'000;
  std::thread runner([&] {
    outcome = model.Execute(
        {Ints("iterations", kScalar, {1'000'000'000})},
        [&](smi_execute_params* params) { params->deadline_ns = deadline_ns; }, &recorder);
    ended = true;
  });
  // On a machine so busy that the call began too late it has been refused, for the same reason.
  while (!ended && (smi_now_ns() < deadline_ns || !recorder.Cancel(model.api(), model.get())))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  runner.join();
  EXPECT_EQ(outcome.code, SMI_DEADLINE_EXCEEDED);
}

TEST_F(OnnxTest, RunsOneModelOnManyThreads) {
  const Model model = Load("sequence.onnx");
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Outcome alone = model.Execute({Ints("input_ids", {1, 3}, {t, t + 1, t + 2})});
      for (int i = 0; i < 100; ++i) {
        const Outcome outcome = model.Execute({Ints("input_ids", {1, 3}, {t, t + 1, t + 2})});
        if (outcome.code == SMI_OK && outcome.outputs[0].bytes == alone.outputs[0].bytes) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
  EXPECT_EQ(model.stats().calls_ok, 404U);
}

}  // namespace
