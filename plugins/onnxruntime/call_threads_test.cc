// SPDX-License-Identifier: Apache-2.0
// How many threads a call uses, through the plugin's table, with the real engine.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "client.h"
#include "smi/plugin_util.h"
#include "testing/mlp_model.h"

namespace {

namespace fs = std::filesystem;
using mlos_ort::MlpModel;
using smi_test::Model;
using smi_test::Options;
using smi_test::Outcome;
using smi_test::Plugin;
using smi_test::Tensor;

const fs::path kLibrary = MLOS_PLUGIN;

class CallThreadsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mlos_threads_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    model_ = MlpModel::Write(folder_ / "model", {});
  }
  void TearDown() override { fs::remove_all(folder_); }
  static Tensor Input(int64_t rows, int64_t width = 128) {
    return Tensor::Of<float>("x", SMI_FP32, {rows, width},
                             std::vector<float>(static_cast<size_t>(rows * width), 0.5F));
  }
  static std::string Answer(const Model& model, int64_t rows) {
    const Outcome outcome = model.Execute({Input(rows)});
    EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
    return outcome.outputs.empty() ? "" : outcome.outputs[0].bytes;
  }
  fs::path folder_;
  fs::path model_;
};

// --- threads of one call ---------------------------------------------------------------------------------------

// CPU time of the other threads of this process.
uint64_t OthersTicks() {
  uint64_t sum = 0;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(gettid())) continue;
    std::ifstream stat(task.path() / "schedstat");
    uint64_t ns = 0;
    if (stat >> ns) sum += ns;
  }
  return sum;
}

TEST_F(CallThreadsTest, UsesNoMoreThreadsThanACallMay) {
  const fs::path large = MlpModel::Write(folder_ / "large", {.layers = 4, .width = 1024});
  Plugin plugin(kLibrary, Options{{"threads", "3"}, {"weight_cache_dir", (folder_ / "cache").string()}});
  const Model model = plugin.Load(large);
  const auto run = [&](uint32_t n_threads) {
    const Outcome outcome =
        model.Execute({Input(256, 1024)}, [&](smi_execute_params* params) { params->n_threads = n_threads; });
    EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
    return outcome.outputs[0].bytes;
  };
  const std::string all = run(0);
  EXPECT_EQ(run(1), all);
  uint64_t before = OthersTicks();
  for (int i = 0; i < 5; ++i) run(1);
  EXPECT_EQ(OthersTicks(), before) << "a call of one thread used others";
  for (int i = 0; i < 5; ++i) run(0);
  EXPECT_GT(OthersTicks(), before) << "a call of three threads used one";
  before = OthersTicks();
  for (int i = 0; i < 5; ++i) run(3);
  EXPECT_GT(OthersTicks(), before);
  EXPECT_EQ(run(2), all);
}

TEST_F(CallThreadsTest, MakesASessionForFewerThreadsOnlyWhenAsked) {
  const Plugin plugin(kLibrary, {{"threads", "3"}});
  const Model model = plugin.Load(model_);
  const auto threads = [] {
    return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
  };
  const auto before = threads();
  const auto run = [&](uint32_t n) {
    model.Execute({Input(1)}, [n](smi_execute_params* p) { p->n_threads = n; });
  };
  run(1);
  EXPECT_EQ(threads(), before) << "one thread is the calling one";
  run(2);
  EXPECT_EQ(threads(), before + 1);
  run(2);
  EXPECT_EQ(threads(), before + 1);
}

TEST_F(CallThreadsTest, SpinsOnlyWhileACallRunsWhenToldSo) {
  const Plugin plugin(kLibrary, {{"threads", "2"}, {"spin", "run"}});
  const Model model = plugin.Load(model_);
  const std::string answer = Answer(model, 64);
  EXPECT_EQ(Answer(model, 64), answer);
  const uint64_t before = OthersTicks();
  // Long enough for spinning threads to show; they would burn all of it.
  const int64_t until_ns = smi_now_ns() + 50'000'000;
  while (smi_now_ns() < until_ns) usleep(1000);
  EXPECT_LT(OthersTicks() - before, 10'000'000U);
}

}  // namespace
