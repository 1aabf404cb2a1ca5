// SPDX-License-Identifier: Apache-2.0
// A registry over fake plugins whose models have sizes, with a budget and a clock of the test's.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "model/registry.h"
#include "model/testing/fake_plugins.h"

namespace mlos::model {

class RegistryFixture : public testing::Test {
 protected:
  static constexpr int64_t kSecond = 1'000'000'000;

  void TearDown() override {
    registry_.reset();
    broker_.reset();
    std::filesystem::remove_all(dir_);
  }

  // The registry, empty.
  void Open(uint64_t budget_bytes, RegistryOptions options = {}) {
    std::filesystem::create_directories(dir_);
    broker_ = std::make_unique<resources::MemoryBroker>(
        resources::BrokerOptions{
            .budget_bytes = budget_bytes, .budget_source = "a test", .fair_after_ns = fair_ns_},
        clock_);
    options.broker = broker_.get();
    state_.estimate = [this](const plugin::LoadOptions& o) {
      return plugin::Estimate{.private_bytes = estimates_.at(o.model_path.stem().string())};
    };
    state_.takes = [this](const plugin::LoadOptions& o) {
      const auto it = takes_.find(o.model_path.stem().string());
      return it != takes_.end() ? it->second : estimates_.at(o.model_path.stem().string());
    };
    auto registry = Registry::Open(Catalog::Open(":memory:").value(),
                                   std::make_unique<plugin::FakePluginRegistry>(state_), options, clock_);
    ASSERT_TRUE(registry.ok()) << registry.status().message();
    registry_ = std::move(registry).value();
  }

  // A model file; `takes` what it really takes when that differs from the estimate.
  Registration File(const std::string& id, const std::string& file, uint64_t estimate, uint64_t takes = 0) {
    estimates_[file] = estimate;
    if (takes != 0) takes_[file] = takes;
    const std::filesystem::path path = dir_ / (file + ".onnx");
    if (!std::filesystem::exists(path)) {
      std::filesystem::copy_file(
          std::filesystem::path(MLOS_SOURCE_DIR) / "tests/models/onnx/identity_float32.onnx", path);
    }
    return {.id = id, .path = path.string()};
  }
  // Registered, loaded once and idle.
  void Add(const std::string& id, uint64_t estimate, uint64_t takes = 0) {
    const std::string file = id.substr(id.find('/') + 1, id.find('@') - id.find('/') - 1) + "_" +
                             (id.find('@') == std::string::npos ? "0" : id.substr(id.find('@') + 1));
    const Result<Handle> handle = registry_->Register(File(id, file, estimate, takes));
    ASSERT_TRUE(handle.ok()) << handle.status().message();
  }
  State StateOf(const std::string& id) { return registry_->Get(id)->state; }
  // Models leave on a thread of their own.
  void WaitForAlive(int n) {
    while (state_.alive != n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  const std::filesystem::path dir_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("mlos_registry_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  int64_t fair_ns_ = 1000;
  FakeClock clock_;
  plugin::FakePluginState state_;
  std::map<std::string, uint64_t> estimates_;
  std::map<std::string, uint64_t> takes_;
  std::unique_ptr<resources::MemoryBroker> broker_;
  std::unique_ptr<Registry> registry_;
};

}  // namespace mlos::model
