// SPDX-License-Identifier: Apache-2.0
// Estimating, loading and describing models; files that are not what they should be.
#include <malloc.h>

#include "suite.h"

namespace smi_test {
namespace {

class LoadConformance : public Conformance {
 protected:
  smi_code TryLoad(const std::filesystem::path& path, const Options& options = {}) {
    std::optional<Model> model;
    return plugin_.TryLoad(path, options, &model, &message_);
  }
  // What load() says of parameters that are changed first.
  template <typename Change>
  smi_code LoadChanged(const Change& change) {
    const std::string path = flags.model.string();
    smi_load_params params = Plugin::LoadParams(path, {});
    params.format = plugin_.info().formats[0];
    change(&params);
    smi_error error = NoError();
    smi_model* model = nullptr;
    const smi_code code = plugin_.api().load(plugin_.get(), &params, &model, &error);
    message_ = Message(error);
    if (code == SMI_OK) {
      EXPECT_EQ(plugin_.api().unload(model, &error), SMI_OK);
    } else {
      EXPECT_NE(message_, "");
    }
    return code;
  }
  std::string message_;
  TemporaryFolder folder_;
};

TEST_F(LoadConformance, NamesAFileThatIsMissing) {
  EXPECT_EQ(TryLoad("/nowhere/model.bin"), SMI_NOT_FOUND);
  EXPECT_THAT(message_, ::testing::HasSubstr("/nowhere/model.bin"));
}

TEST_F(LoadConformance, CallsAnEmptyFileCorrupt) {
  EXPECT_EQ(TryLoad(folder_.Write("model.bin", "")), SMI_CORRUPT) << message_;
}

TEST_F(LoadConformance, CallsAFileOfAnotherKindCorrupt) {
  EXPECT_EQ(TryLoad(folder_.Write("text", "This is a letter, not a model.\n")), SMI_CORRUPT) << message_;
  EXPECT_EQ(TryLoad(folder_.Write("zeros", std::string(4096, '\0'))), SMI_CORRUPT) << message_;
  EXPECT_EQ(TryLoad(folder_.Write("ones", std::string(4096, '\xFF'))), SMI_CORRUPT) << message_;
  EXPECT_EQ(TryLoad(folder_.Write("elf", ReadWhole("/proc/self/exe").substr(0, 100000))), SMI_CORRUPT)
      << message_;
}

TEST_F(LoadConformance, CallsATruncatedFileCorrupt) {
  const std::string whole = ReadWhole(flags.model);
  EXPECT_EQ(TryLoad(folder_.Write("cut", whole.substr(0, 7))), SMI_CORRUPT) << message_;
  // A text model cut in the middle may still be one.
  const smi_code half = TryLoad(folder_.Write("half", whole.substr(0, whole.size() / 2)));
  EXPECT_THAT(half, ::testing::AnyOf(SMI_CORRUPT, SMI_OK, SMI_UNSUPPORTED)) << message_;
}

TEST_F(LoadConformance, KeepsNothingOfLoadsThatFail) {
  const auto path = folder_.Write("text", "This is a letter, not a model.\n");
  for (int i = 0; i < 20; ++i) TryLoad(path);
  malloc_trim(0);
  const uint64_t before = ResidentBytes();
  for (int i = 0; i < 300; ++i) TryLoad(path);
  malloc_trim(0);
  EXPECT_LT(ResidentBytes(), before + (1U << 20));
}

TEST_F(LoadConformance, KeepsNothingOfModelsThatAreUnloaded) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(TryLoad(flags.model), SMI_OK);
  malloc_trim(0);
  const uint64_t before = ResidentBytes();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(TryLoad(flags.model), SMI_OK);
  malloc_trim(0);
  EXPECT_LT(ResidentBytes(),
            before + std::max<uint64_t>(4U << 20, 4 * std::filesystem::file_size(flags.model)));
}

TEST_F(LoadConformance, RefusesAnOptionItDoesNotKnow) {
  EXPECT_EQ(TryLoad(flags.model, {{"no-such-option-in-any-plugin", "1"}}), SMI_INVALID_ARGUMENT);
  EXPECT_THAT(message_, ::testing::HasSubstr("no-such-option-in-any-plugin"));
}

TEST_F(LoadConformance, RefusesParametersThatCannotBeRead) {
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->struct_size = sizeof *p - 8; }), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->struct_size = 0; }), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->path = {nullptr, 5}; }), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->path = {"", 0}; }), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->path = {"a\0b", 3}; }), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(LoadChanged([](smi_load_params* p) { p->n_options = 3; }), SMI_INVALID_ARGUMENT);
  smi_error error = NoError();
  smi_model* model = nullptr;
  EXPECT_EQ(plugin_.api().load(plugin_.get(), nullptr, &model, &error), SMI_INVALID_ARGUMENT);
}

TEST_F(LoadConformance, TakesParametersFromALaterVersion) {
  const std::string path = flags.model.string();
  smi_load_params params = Plugin::LoadParams(path, {});
  params.format = plugin_.info().formats[0];
  const Grown<smi_load_params> grown(params);
  smi_error error = NoError();
  smi_model* model = nullptr;
  ASSERT_EQ(plugin_.api().load(plugin_.get(), &grown.value, &model, &error), SMI_OK) << error.message;
  EXPECT_EQ(plugin_.api().unload(model, &error), SMI_OK);
}

// --- estimates -------------------------------------------------------------------------------------------------

TEST_F(LoadConformance, EstimatesAnUpperBoundWithinReason) {
  smi_estimate estimate{};
  ASSERT_EQ(plugin_.Estimate(flags.model, &estimate, &message_), SMI_OK) << message_;
  const uint64_t bound = estimate.private_bytes + estimate.mapped_bytes;
  // Once before, because the engine's own code and tables count for the plugin, not for the model.
  EXPECT_EQ(TryLoad(flags.model), SMI_OK);
  malloc_trim(0);
  const uint64_t before = ResidentBytes();
  const Model model = plugin_.Load(flags.model);
  // The allocator takes memory in larger steps than a small model needs.
  constexpr uint64_t kAllocatorStep = 1U << 20;
  EXPECT_LE(ResidentBytes(), before + bound + kAllocatorStep);
  const uint64_t file = std::filesystem::file_size(flags.model);
  EXPECT_LE(bound, 20 * file + (1ULL << 30)) << "a bound that says nothing";
  EXPECT_LE(model.stats().private_bytes, estimate.private_bytes);
}

TEST_F(LoadConformance, EstimatesWithoutLoading) {
  smi_estimate first{};
  ASSERT_EQ(plugin_.Estimate(flags.model, &first, &message_), SMI_OK) << message_;
  malloc_trim(0);
  const uint64_t before = ResidentBytes();
  for (int i = 0; i < 50; ++i) {
    smi_estimate again{};
    ASSERT_EQ(plugin_.Estimate(flags.model, &again, &message_), SMI_OK);
    EXPECT_EQ(again.private_bytes, first.private_bytes);
  }
  malloc_trim(0);
  EXPECT_LT(ResidentBytes(), before + (2U << 20));
}

TEST_F(LoadConformance, EstimatesNoFileThatIsNotAModel) {
  smi_estimate estimate{};
  EXPECT_EQ(plugin_.Estimate("/nowhere/model.bin", &estimate, &message_), SMI_NOT_FOUND) << message_;
  EXPECT_EQ(plugin_.Estimate(folder_.Write("text", "a letter\n"), &estimate, &message_), SMI_CORRUPT)
      << message_;
}

TEST_F(LoadConformance, WritesOnlyWhatFitsIntoAnEstimate) {
  const std::string path = flags.model.string();
  smi_load_params params = Plugin::LoadParams(path, {});
  params.format = plugin_.info().formats[0];
  smi_error error = NoError();
  Grown<smi_estimate> grown{smi_estimate{}};
  ASSERT_EQ(plugin_.api().estimate(plugin_.get(), &params, &grown.value, &error), SMI_OK) << error.message;
  EXPECT_TRUE(grown.TailIsUntouched());
  EXPECT_EQ(grown.value.struct_size, sizeof grown);
  smi_estimate stunted{};
  stunted.struct_size = 16;
  EXPECT_EQ(plugin_.api().estimate(plugin_.get(), &params, &stunted, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(stunted.per_call_bytes, 0U);
}

// --- describing ------------------------------------------------------------------------------------------------

void CheckSpecs(const smi_tensor_spec* specs, uint32_t count) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < count; ++i) {
    const smi_tensor_spec* spec = SMI_AT(specs, smi_tensor_spec, i);
    ASSERT_TRUE(SMI_HAS(spec, smi_tensor_spec, description));
    const std::string name(spec->name.data, spec->name.size);
    EXPECT_NE(name, "");
    EXPECT_THAT(names, ::testing::Not(::testing::Contains(name)));
    names.push_back(name);
    EXPECT_TRUE(spec->dtype > SMI_DTYPE_INVALID && spec->dtype <= SMI_BYTES) << name;
    ASSERT_LE(spec->rank, SMI_MAX_RANK) << name;
    for (uint32_t d = 0; d < spec->rank; ++d) EXPECT_GE(spec->shape[d], -1) << name;
    const bool optional = (spec->flags & SMI_SPEC_OPTIONAL) != 0;
    EXPECT_TRUE(!optional || spec->description.size > 0) << name << ": what is its default?";
  }
}

TEST_F(ModelConformance, IsDescribedTheSameEachTime) {
  const smi_model_info* info = model_.api().describe_model(model_.get());
  ASSERT_NE(info, nullptr);
  ASSERT_TRUE(SMI_HAS(info, smi_model_info, preferred_batch));
  EXPECT_EQ(model_.api().describe_model(model_.get()), info);
  EXPECT_EQ(info->capabilities & ~plugin_.info().capabilities, 0U) << "the model can what the plugin cannot";
  EXPECT_NE(info->capabilities & (SMI_CAP_EXECUTE | SMI_CAP_GENERATE), 0U);
  CheckSpecs(info->inputs, info->n_inputs);
  CheckSpecs(info->outputs, info->n_outputs);
  EXPECT_EQ(model_.can(SMI_CAP_EXECUTE), info->n_outputs > 0);
  EXPECT_GE(info->batch_dimension, -1);
  for (uint32_t i = 0; i < info->n_inputs; ++i) {
    EXPECT_LT(info->batch_dimension, static_cast<int32_t>(model_.input(i).rank));
  }
  EXPECT_TRUE(!model_.can(SMI_CAP_GENERATE) || info->context_length > 0);
  EXPECT_EQ(model_.can(SMI_CAP_CHAT_TEMPLATE), info->chat_template.size > 0);
}

TEST_F(ModelConformance, CanBeLoadedTwiceAtOnce) {
  const Model other = plugin_.Load(flags.model);
  EXPECT_NE(other.get(), model_.get());
  EXPECT_EQ(other.info().n_inputs, model_.info().n_inputs);
}

TEST_F(ModelConformance, WritesOnlyWhatFitsIntoStatistics) {
  smi_error error = NoError();
  Grown<smi_model_stats> grown{smi_model_stats{}};
  ASSERT_EQ(model_.api().model_stats(model_.get(), &grown.value, &error), SMI_OK) << error.message;
  EXPECT_TRUE(grown.TailIsUntouched());
  EXPECT_EQ(grown.value.struct_size, sizeof grown);
  smi_model_stats stunted{};
  stunted.struct_size = 16;
  stunted.private_bytes = 77;
  EXPECT_EQ(model_.api().model_stats(model_.get(), &stunted, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(stunted.private_bytes, 77U);
}

}  // namespace
}  // namespace smi_test
