// SPDX-License-Identifier: Apache-2.0
// execute(): accepting, refusing, answering once, cancelling, garbage.
#include <atomic>
#include <chrono>
#include <thread>

#include "suite.h"

namespace smi_test {
namespace {

const ::testing::Matcher<smi_code> kRefusal =
    ::testing::AnyOf(SMI_INVALID_ARGUMENT, SMI_BAD_INPUT, SMI_UNSUPPORTED);

TEST_F(ExecuteConformance, AnswersEveryOutputAsDeclared) {
  const Outcome outcome = model_.Execute(FittingInputs(model_));
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  ASSERT_EQ(outcome.outputs.size(), model_.info().n_outputs);
  for (uint32_t i = 0; i < model_.info().n_outputs; ++i) {
    const smi_tensor_spec& spec = model_.output(i);
    const Tensor* tensor = outcome.Find(std::string_view(spec.name.data, spec.name.size));
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->dtype, spec.dtype);
    ASSERT_EQ(tensor->shape.size(), spec.rank);
    for (uint32_t d = 0; d < spec.rank; ++d)
      EXPECT_TRUE(spec.shape[d] < 0 || spec.shape[d] == tensor->shape[d]);
  }
}

TEST_F(ExecuteConformance, AnswersTheSameWithAndWithoutTheHostsMemory) {
  const std::vector<Tensor> inputs = FittingInputs(model_);
  const Outcome first = model_.Execute(inputs);
  Recorder without;
  without.offer_memory = false;
  const Outcome second = model_.Execute(inputs, {}, &without);
  ASSERT_EQ(second.code, SMI_OK) << second.message;
  EXPECT_TRUE(SameOutputs(first, second));
}

TEST_F(ExecuteConformance, AnswersOnlyWhatIsAskedFor) {
  const smi_str wanted = model_.output(model_.info().n_outputs - 1).name;
  const Outcome outcome = model_.Execute(FittingInputs(model_), [&](smi_execute_params* params) {
    params->outputs = &wanted;
    params->n_outputs = 1;
  });
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  ASSERT_EQ(outcome.outputs.size(), 1U);
  EXPECT_EQ(outcome.outputs[0].name, std::string(wanted.data, wanted.size));
}

TEST_F(ExecuteConformance, RefusesAnOutputThatIsNotThere) {
  const smi_str wanted = smi_text("no-such-output");
  const Outcome outcome = model_.Execute(FittingInputs(model_), [&](smi_execute_params* params) {
    params->outputs = &wanted;
    params->n_outputs = 1;
  });
  EXPECT_THAT(outcome.code, kRefusal);
  EXPECT_THAT(outcome.message, ::testing::HasSubstr("no-such-output"));
}

// --- structs of other versions ---------------------------------------------------------------------------------

TEST_F(ExecuteConformance, TakesStructsFromALaterVersion) {
  const std::vector<Tensor> inputs = FittingInputs(model_);
  std::vector<Grown<smi_tensor>> tensors;
  for (const Tensor& tensor : inputs) tensors.emplace_back(Borrow(tensor));
  smi_execute_params params{};
  params.inputs = tensors.empty() ? nullptr : &tensors[0].value;
  params.n_inputs = static_cast<uint32_t>(tensors.size());
  const Grown<smi_execute_params> grown_params(params);
  Recorder recorder;
  const Grown<smi_output_sink> grown_sink(recorder.output_sink());
  smi_error error = NoError();
  const smi_code accepted =
      model_.api().execute(model_.get(), &grown_params.value, &grown_sink.value, &recorder.call, &error);
  const Outcome outcome = recorder.Wait(accepted, error);
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  EXPECT_TRUE(SameOutputs(outcome, model_.Execute(inputs)));
}

TEST_F(ExecuteConformance, TakesACallWithoutAPlaceForItsHandle) {
  const std::vector<Tensor> inputs = FittingInputs(model_);
  std::vector<smi_tensor> tensors;
  for (const Tensor& tensor : inputs) tensors.push_back(Borrow(tensor));
  smi_execute_params params{};
  params.struct_size = sizeof params;
  params.inputs = tensors.data();
  params.n_inputs = static_cast<uint32_t>(tensors.size());
  Recorder recorder;
  const smi_output_sink sink = recorder.output_sink();
  smi_error error = NoError();
  EXPECT_EQ(recorder.Wait(model_.api().execute(model_.get(), &params, &sink, nullptr, &error), error).code,
            SMI_OK);
}

TEST_F(ExecuteConformance, RefusesStructsSmallerThanInSmi10) {
  EXPECT_EQ(model_.Execute(FittingInputs(model_), [](smi_execute_params* p) { p->struct_size -= 8; }).code,
            SMI_INVALID_ARGUMENT);
  Recorder recorder;
  smi_output_sink sink = recorder.output_sink();
  sink.struct_size -= 8;
  smi_execute_params params{};
  params.struct_size = sizeof params;
  smi_error error = NoError();
  EXPECT_EQ(model_.api().execute(model_.get(), &params, &sink, nullptr, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(model_.api().execute(model_.get(), &params, nullptr, nullptr, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(model_.api().execute(model_.get(), nullptr, &sink, nullptr, nullptr), SMI_INVALID_ARGUMENT);
  sink = recorder.output_sink();
  sink.done = nullptr;
  EXPECT_EQ(model_.api().execute(model_.get(), &params, &sink, nullptr, &error), SMI_INVALID_ARGUMENT);
}

// --- garbage ---------------------------------------------------------------------------------------------------

// One member of the first input is wrong, the rest is right.
struct Garbage {
  const char* what;
  void (*change)(smi_tensor* tensor);
};
class GarbageConformance : public ExecuteConformance, public ::testing::WithParamInterface<Garbage> {};

constexpr int64_t kNegative[64] = {-3, -3, -3, -3, -3, -3, -3, -3};
constexpr int64_t kHuge[64] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                               INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

const Garbage kGarbage[] = {
    Garbage{"wrong_dtype",
            [](smi_tensor* t) {
              t->dtype = t->dtype == SMI_FP64 ? SMI_INT64 : SMI_FP64;
              uint64_t count = 0;
              smi_element_count(t->shape, t->rank, &count);
              static char data[1 << 20];
              t->data = data;
              t->size_bytes = count * 8;
            }},
    Garbage{"no_dtype", [](smi_tensor* t) { t->dtype = SMI_DTYPE_INVALID; }},
    Garbage{"unknown_dtype", [](smi_tensor* t) { t->dtype = 99; }},
    Garbage{"negative_dtype", [](smi_tensor* t) { t->dtype = -1; }},
    Garbage{"rank_too_small", [](smi_tensor* t) { --t->rank; }},
    Garbage{"rank_huge", [](smi_tensor* t) { t->rank = UINT32_MAX; }},
    Garbage{"shape_null", [](smi_tensor* t) { t->shape = nullptr; }},
    Garbage{"shape_negative", [](smi_tensor* t) { t->shape = kNegative; }},
    Garbage{"shape_overflows", [](smi_tensor* t) { t->shape = kHuge; }},
    Garbage{"data_null", [](smi_tensor* t) { t->data = nullptr; }},
    Garbage{"size_too_small", [](smi_tensor* t) { --t->size_bytes; }},
    Garbage{"size_too_large", [](smi_tensor* t) { ++t->size_bytes; }},
    Garbage{"size_huge", [](smi_tensor* t) { t->size_bytes = UINT64_MAX; }},
    Garbage{"name_unknown", [](smi_tensor* t) { t->name = smi_text("no-such-input"); }},
    Garbage{"name_null", [](smi_tensor* t) { t->name.data = nullptr; }},
    Garbage{"name_empty", [](smi_tensor* t) { t->name.size = 0; }},
    Garbage{"not_in_host_memory", [](smi_tensor* t) { t->memory = SMI_MEMORY_CUDA; }},
    Garbage{"struct_too_small", [](smi_tensor* t) { t->struct_size = 16; }}};

TEST_P(GarbageConformance, IsRefusedAndTheModelGoesOn) {
  const std::vector<Tensor> inputs = FittingInputs(model_);
  if (inputs.empty() || inputs[0].shape.empty())
    GTEST_SKIP() << "the first input is a scalar, or there is none";
  std::vector<smi_tensor> tensors;
  for (const Tensor& tensor : inputs) tensors.push_back(Borrow(tensor));
  GetParam().change(&tensors[0]);
  const Outcome outcome = model_.Execute({}, [&](smi_execute_params* params) {
    params->inputs = tensors.data();
    params->n_inputs = static_cast<uint32_t>(tensors.size());
  });
  EXPECT_THAT(outcome.code, kRefusal) << outcome.message;
  EXPECT_EQ(model_.Execute(inputs).code, SMI_OK);
}

INSTANTIATE_TEST_SUITE_P(Inputs, GarbageConformance, ::testing::ValuesIn(kGarbage),
                         [](const auto& param) { return std::string(param.param.what); });

TEST_F(ExecuteConformance, RefusesAnInputThatIsMissing) {
  std::vector<Tensor> inputs = FittingInputs(model_);
  if (inputs.empty()) GTEST_SKIP() << "every input is optional";
  const std::string name = inputs.back().name;
  inputs.pop_back();
  const Outcome outcome = model_.Execute(inputs);
  EXPECT_THAT(outcome.code, kRefusal);
  EXPECT_THAT(outcome.message, ::testing::HasSubstr(name));
}

TEST_F(ExecuteConformance, RefusesAnInputGivenTwice) {
  std::vector<Tensor> inputs = FittingInputs(model_);
  if (inputs.empty()) GTEST_SKIP() << "every input is optional";
  inputs.push_back(inputs.front());
  EXPECT_THAT(model_.Execute(inputs).code, kRefusal);
}

TEST_F(ExecuteConformance, RefusesInputsThatAreCountedButNull) {
  const Outcome outcome = model_.Execute({}, [](smi_execute_params* params) {
    params->inputs = nullptr;
    params->n_inputs = 2;
  });
  EXPECT_THAT(outcome.code, kRefusal);
}

// --- ends ------------------------------------------------------------------------------------------------------

TEST_F(ExecuteConformance, StopsWhenTheSinkRefuses) {
  Recorder recorder;
  recorder.on_piece = [] { return static_cast<smi_code>(SMI_UNAVAILABLE); };
  const Outcome outcome = model_.Execute(FittingInputs(model_), {}, &recorder);
  EXPECT_NE(outcome.code, SMI_OK);
  EXPECT_EQ(outcome.outputs.size(), 1U);
}

TEST_F(ExecuteConformance, LetsTheHostAskQuestionsFromInsideTheSink) {
  Recorder recorder;
  recorder.on_piece = [&] {
    EXPECT_EQ(model_.stats().running, 1U);
    EXPECT_GT(model_.info().n_outputs, 0U);
    return static_cast<smi_code>(SMI_OK);
  };
  EXPECT_EQ(model_.Execute(FittingInputs(model_), {}, &recorder).code, SMI_OK);
}

TEST_F(ExecuteConformance, DoesNotUnloadWhileACallRuns) {
  Recorder recorder;
  smi_code unloaded = SMI_OK;
  recorder.on_piece = [&] {
    std::thread other([&] {
      smi_error error = NoError();
      unloaded = model_.api().unload(model_.get(), &error);
    });
    other.join();
    return static_cast<smi_code>(SMI_OK);
  };
  const Outcome outcome = model_.Execute(FittingInputs(model_), {}, &recorder);
  EXPECT_EQ(unloaded, SMI_WRONG_STATE);
  EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
}

TEST_F(ExecuteConformance, TakesADeadlineInThePastForWhatItIs) {
  const Outcome outcome =
      model_.Execute(FittingInputs(model_), [](smi_execute_params* params) { params->deadline_ns = 1; });
  EXPECT_EQ(outcome.code, SMI_DEADLINE_EXCEEDED) << outcome.message;
}

TEST_F(ExecuteConformance, IgnoresADeadlineThatIsFarAway) {
  const Outcome outcome = model_.Execute(FittingInputs(model_),
                                         [](smi_execute_params* params) { params->deadline_ns = INT64_MAX; });
  EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
}

TEST_F(ExecuteConformance, CountsWhatItDoes) {
  const smi_model_stats before = model_.stats();
  for (int i = 0; i < 5; ++i) ASSERT_EQ(model_.Execute(FittingInputs(model_)).code, SMI_OK);
  Recorder recorder;
  recorder.on_piece = [] { return static_cast<smi_code>(SMI_UNAVAILABLE); };
  model_.Execute(FittingInputs(model_), {}, &recorder);
  const smi_model_stats after = model_.stats();
  EXPECT_EQ(after.calls_ok, before.calls_ok + 5);
  EXPECT_EQ(after.calls_failed, before.calls_failed + 1);
  EXPECT_EQ(after.running, 0U);
  EXPECT_GT(after.busy_ns, before.busy_ns);
}

TEST_F(ExecuteConformance, AnswersCallsFromSeveralThreads) {
  if (!model_.can(SMI_CAP_CONCURRENT)) GTEST_SKIP() << "the model takes one call at a time";
  const std::vector<Tensor> inputs = FittingInputs(model_);
  const Outcome alone = model_.Execute(inputs);
  std::atomic<int> same = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) same += SameOutputs(model_.Execute(inputs), alone) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, 100);
  EXPECT_EQ(model_.stats().running, 0U);
}

TEST_F(ExecuteConformance, TakesACancelAtAnyMoment) {
  if (!model_.can(SMI_CAP_CANCEL)) GTEST_SKIP() << "the model cannot cancel";
  const std::vector<Tensor> inputs = FittingInputs(model_);
  for (int i = 0; i < 50; ++i) {
    Recorder recorder;
    std::atomic<bool> ended = false;
    Outcome outcome;
    std::thread runner([&] {
      outcome = model_.Execute(inputs, {}, &recorder);
      ended = true;
    });
    while (!ended && !recorder.Cancel(model_.api(), model_.get()))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    runner.join();
    EXPECT_THAT(outcome.code, ::testing::AnyOf(SMI_OK, SMI_CANCELLED)) << outcome.message;
  }
  EXPECT_EQ(model_.Execute(inputs).code, SMI_OK);
}

TEST_F(Conformance, EndsASlowCallSoonAfterItIsCancelled) {
  if (flags.slow_model.empty()) GTEST_SKIP() << "no slow model is given";
  const Model model = plugin_.Load(flags.slow_model);
  std::vector<Tensor> inputs = FittingInputs(model);
  const size_t equals = flags.slow_input.find('=');
  for (Tensor& tensor : inputs) {
    if (tensor.name != flags.slow_input.substr(0, equals)) continue;
    tensor = Tensor::Of<int64_t>(tensor.name, SMI_INT64, tensor.shape,
                                 {std::stoll(flags.slow_input.substr(equals + 1))});
  }
  Recorder recorder;
  Outcome outcome;
  std::thread runner([&] { outcome = model.Execute(inputs, {}, &recorder); });
  while (!recorder.Cancel(model.api(), model.get()))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto cancelled = std::chrono::steady_clock::now();
  runner.join();
  EXPECT_EQ(outcome.code, SMI_CANCELLED);
  EXPECT_LT(std::chrono::steady_clock::now() - cancelled, std::chrono::seconds(5));
}

}  // namespace
}  // namespace smi_test
