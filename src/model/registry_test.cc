// SPDX-License-Identifier: Apache-2.0
#include "model/registry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "model/testing/fake_plugins.h"

namespace mlos::model {
namespace {

const std::string kModelFile = std::string(MLOS_SOURCE_DIR) + "/tests/models/onnx/identity_float32.onnx";

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    registry_.reset();
    auto catalog = Catalog::Open(file_);
    ASSERT_TRUE(catalog.ok()) << catalog.status().message();
    auto registry =
        Registry::Open(std::move(catalog).value(), std::make_unique<plugin::FakePluginRegistry>(state_));
    ASSERT_TRUE(registry.ok()) << registry.status().message();
    registry_ = std::move(registry).value();
  }
  void TearDown() override {
    registry_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file_.string() + suffix);
  }
  Registration Model(const std::string& id) { return {.id = id, .path = kModelFile}; }

  const std::filesystem::path file_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("mlos_registry_") + testing::UnitTest::GetInstance()->current_test_info()->name() + ".db");
  plugin::FakePluginState state_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, AFailedLoadRegistersNothing) {
  state_.before_load = [] { return DataLoss("truncated"); };
  EXPECT_EQ(registry_->Register(Model("t/x")).status().message(), "truncated");
  EXPECT_TRUE(registry_->List().empty());
  Registration missing = Model("t/x");
  missing.path = "/nonexistent";
  EXPECT_EQ(registry_->Register(missing).status().code(), Code::kNotFound);
  EXPECT_EQ(registry_->AcquireReady("t/x").status().code(), Code::kNotFound);
}

TEST_F(RegistryTest, RegistrationsComeBackUnloadedAndLoadOnDemand) {
  ASSERT_TRUE(registry_->Register(Model("t/x")).ok());
  Reopen();
  ASSERT_EQ(registry_->List().size(), 1u);
  EXPECT_EQ(registry_->List()[0].state, State::kRegistered);
  EXPECT_EQ(registry_->AcquireReady("t/x").value(), nullptr);
  const Result<Handle> handle = registry_->AcquireOrLoad("t/x");
  ASSERT_TRUE(handle.ok()) << handle.status().message();
  EXPECT_EQ((*handle)->plugin_id, "fake");
  EXPECT_EQ((*handle)->execution_format, "onnx");
  EXPECT_NE(registry_->AcquireReady("t/x@latest").value(), nullptr);
}

TEST_F(RegistryTest, CallersOfOneModelShareOneLoad) {
  ASSERT_TRUE(registry_->Register(Model("t/x")).ok());
  Reopen();
  state_.loads = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] { EXPECT_TRUE(registry_->AcquireOrLoad("t/x").ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(state_.loads, 1);
}

TEST_F(RegistryTest, ALoadThatFailedIsTriedAgain) {
  ASSERT_TRUE(registry_->Register(Model("t/x")).ok());
  Reopen();
  state_.before_load = [] { return Unavailable("no memory"); };
  EXPECT_EQ(registry_->AcquireOrLoad("t/x").status().message(), "loading model 't/x@latest': no memory");
  EXPECT_EQ(registry_->Get("t/x")->state, State::kFailed);
  state_.before_load = [] { return OkStatus(); };
  EXPECT_TRUE(registry_->AcquireOrLoad("t/x").ok());
}

TEST_F(RegistryTest, UnregisterWaitsForTheLastHandle) {
  Handle handle = registry_->Register(Model("t/x")).value();
  std::thread unregister([this] { EXPECT_TRUE(registry_->Unregister("t/x").ok()); });
  while (registry_->AcquireReady("t/x").ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(state_.alive, 1) << "the handle pins the model";
  handle.reset();
  unregister.join();
  EXPECT_EQ(state_.alive, 0);
  EXPECT_EQ(registry_->Unregister("t/x").code(), Code::kNotFound);
  Reopen();
  EXPECT_TRUE(registry_->List().empty());
}

TEST_F(RegistryTest, RegisteringAgainReplacesAndOldHandlesStayValid) {
  const Handle old_model = registry_->Register(Model("t/x")).value();
  const Handle new_model = registry_->Register(Model("t/x")).value();
  EXPECT_NE(old_model, new_model);
  EXPECT_EQ(registry_->AcquireReady("t/x").value(), new_model);
  EXPECT_EQ(state_.alive, 2);
}

TEST_F(RegistryTest, RefusesAFormatThatTheFileIsNot) {
  Registration wrong = Model("t/x");
  wrong.execution_format = "gguf";
  EXPECT_EQ(registry_->Register(wrong).status().message(),
            "execution_format 'gguf' was given, but '" + kModelFile + "' is onnx");
}

TEST_F(RegistryTest, UnknownModelsAreToldWhatIsThere) {
  ASSERT_TRUE(registry_->Register(Model("t/x")).ok());
  EXPECT_EQ(registry_->AcquireReady("t/y").status().message(),
            "model 't/y' is not registered; registered: t/x@latest");
}

}  // namespace
}  // namespace mlos::model
