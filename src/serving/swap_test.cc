// SPDX-License-Identifier: Apache-2.0
// Requests and verbs about memory through the one door: swaps under load, keep-alive, what /ps tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "model/testing/registry_fixture.h"
#include "serving/server.h"

namespace mlos::serving {
namespace {

class CountingSink final : public ResponseSink {
 public:
  explicit CountingSink(std::function<void(const Status&)> done) : done_(std::move(done)) {}
  void OnDone(Status status, Response) override { done_(status); }

 private:
  const std::function<void(const Status&)> done_;
};

class SwapTest : public model::RegistryFixture {
 protected:
  void Start(uint64_t budget_bytes) {
    Open(budget_bytes);
    server_ = std::make_unique<Server>(std::move(registry_), ServerOptions{.threads = 2});
  }
  void TearDown() override {
    server_.reset();
    RegistryFixture::TearDown();
  }
  RegisterRequest Model(const std::string& id, const std::string& file, uint64_t estimate) {
    const model::Registration r = File(id, file, estimate);
    return {.model_id = r.id, .path = r.path};
  }
  Status Infer(const std::string& id, std::optional<int64_t> keep_alive_ns = {}) {
    std::promise<Status> promise;
    Request request;
    request.model_id = id;
    request.keep_alive_ns = keep_alive_ns;
    server_->Infer(std::move(request),
                   std::make_unique<CountingSink>([&](const Status& status) { promise.set_value(status); }));
    return promise.get_future().get();
  }
  // Four clients ask for `id` without a pause while `work` runs; how often they were refused, and why.
  std::vector<Status> Under(const std::string& id, const std::function<void()>& work, int* answered) {
    std::atomic<bool> done{false};
    std::atomic<int> ok{0};
    Mutex mu;
    std::vector<Status> failures;
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&] {
        while (!done) {
          const Status status = Infer(id);
          if (status.ok()) {
            ++ok;
            continue;
          }
          MutexLock lock(mu);
          failures.push_back(status);
        }
      });
    }
    work();
    done = true;
    for (std::thread& client : clients) client.join();
    *answered = ok;
    return failures;
  }

  std::unique_ptr<Server> server_;
};

TEST_F(SwapTest, ASwapUnderLoadFailsNoRequest) {
  Start(1000);
  ASSERT_TRUE(server_->RegisterModel(Model("t/a", "v0", 100)).ok());
  int answered = 0;
  const std::vector<Status> failures = Under(
      "t/a",
      [&] {
        for (int i = 1; i <= 20; ++i) {
          const auto swapped = server_->RegisterModel(Model("t/a", "v" + std::to_string(i % 3), 100));
          EXPECT_TRUE(swapped.ok()) << swapped.status().message();
          EXPECT_EQ(swapped->note, "");
        }
      },
      &answered);
  EXPECT_TRUE(failures.empty()) << failures.size() << " of " << answered << ": " << failures[0].message();
  EXPECT_GT(answered, 20);
  WaitForAlive(1);
}

TEST_F(SwapTest, ASwapWithoutMemoryForBothFailsNoRequestEither) {
  Start(150);
  ASSERT_TRUE(server_->RegisterModel(Model("t/a", "v0", 100)).ok());
  int answered = 0;
  const std::vector<Status> failures = Under(
      "t/a",
      [&] {
        for (int i = 1; i <= 10; ++i) {
          const auto swapped = server_->RegisterModel(Model("t/a", "v" + std::to_string(i % 3), 100));
          ASSERT_TRUE(swapped.ok()) << swapped.status().message();
          EXPECT_THAT(swapped->note, testing::HasSubstr("requests waited"));
        }
      },
      &answered);
  EXPECT_TRUE(failures.empty()) << failures.size() << " of " << answered << ": " << failures[0].message();
  EXPECT_LE(state_.most_taken_bytes, 150u);
}

TEST_F(SwapTest, ASwapThatFailsUnderLoadFailsNoRequest) {
  Start(1000);
  ASSERT_TRUE(server_->RegisterModel(Model("t/a", "v0", 100)).ok());
  int answered = 0;
  const std::vector<Status> failures = Under(
      "t/a",
      [&] {
        state_.before_load = [] { return DataLoss("truncated"); };
        for (int i = 0; i < 10; ++i)
          EXPECT_EQ(server_->RegisterModel(Model("t/a", "v1", 100)).status().code(), Code::kUnprocessable);
      },
      &answered);
  EXPECT_TRUE(failures.empty()) << failures[0].message();
}

TEST_F(SwapTest, TenModelsOnMemoryForThreeAreAllServed) {
  Start(350);
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(server_->RegisterModel(Model("t/m" + std::to_string(i), "m" + std::to_string(i), 100)).ok());
  std::vector<std::thread> clients;
  std::atomic<int> failed{0};
  // The clock stands still: turns come by models becoming idle.
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 40; ++i) {
        if (!Infer("t/m" + std::to_string((i * 7 + c * 3) % 10)).ok()) ++failed;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_LE(state_.most_taken_bytes, 350u);
}

TEST_F(SwapTest, ARequestsKeepAliveOfZeroUnloadsItsModel) {
  Start(1000);
  ASSERT_TRUE(server_->RegisterModel(Model("t/a", "a", 100)).ok());
  EXPECT_TRUE(Infer("t/a", 0).ok());
  WaitForAlive(0);
  EXPECT_EQ(server_->GetModel("t/a")->state, ModelState::kRegistered);
  EXPECT_EQ(server_->GetModel("t/a")->name, "a") << "what was found out stays known";
  EXPECT_TRUE(Infer("t/a").ok());
}

TEST_F(SwapTest, VerbsAndTheReportTellWhatIsThere) {
  Start(1000);
  ASSERT_TRUE(server_->RegisterModel(Model("t/a@v1", "a", 100)).ok());
  ASSERT_TRUE(server_->RegisterModel(Model("t/a@v2", "b", 200)).ok());
  EXPECT_TRUE(server_->UnloadModel("t/a@v1")->unloaded);
  ProcessReport report = server_->Processes();
  ASSERT_EQ(report.models.size(), 2u);
  EXPECT_FALSE(report.models[0].loaded);
  EXPECT_TRUE(report.models[1].loaded);
  EXPECT_EQ(report.models[1].private_bytes, 200u);
  EXPECT_EQ(report.models[1].status.lease_private_bytes, 200u);
  EXPECT_TRUE(report.models[1].status.is_latest);
  EXPECT_EQ(report.memory.budget_bytes, 1000u);
  EXPECT_EQ(report.memory.leased_bytes, 200u);
  const auto loaded = server_->LoadModel({.model_id = "t/a@v1", .keep_alive_ns = -1, .pinned = true});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->keep_alive_ns, -1);
  EXPECT_TRUE(loaded->pinned);
  EXPECT_EQ(server_->ChooseLatest("t/a@v1")->id, "t/a@v1");
  EXPECT_EQ(server_->GetModel("t/a")->id, "t/a@v1");
  EXPECT_EQ(server_->LoadModel({.model_id = "t/none"}).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace mlos::serving
