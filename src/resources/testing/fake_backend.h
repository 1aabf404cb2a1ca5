// SPDX-License-Identifier: Apache-2.0
// A backend with so many slots that a test counts, keeps and breaks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "resources/backend.h"

namespace mlos::resources {

class FakeBackend final : public Backend {
 public:
  struct State {
    std::mutex mu;
    std::condition_variable changed;
    uint32_t slots = 1;
    uint32_t busy = 0;
    uint32_t most_busy = 0;
    uint32_t waiting = 0;
    uint64_t begun = 0;
    uint64_t failed = 0;
    std::vector<ExecutionOptions> options;  // of all that asked
    std::vector<BufferOptions> buffers;     // likewise
    bool no_buffers = false;                // none can be had
    bool broken = false;
    std::atomic<bool> alive{true};  // false: the backend was destroyed

    void Break() {
      const std::lock_guard lock(mu);
      broken = true;
      changed.notify_all();
    }
    void AwaitWaiting(uint32_t count) {
      std::unique_lock lock(mu);
      changed.wait(lock, [&] { return waiting >= count; });
    }
  };

  explicit FakeBackend(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~FakeBackend() override { state_->alive = false; }

  RuntimeMode mode() const override { return RuntimeMode::kKernelSched; }
  std::string why() const override { return ""; }
  uint32_t slots() const override { return state_->slots; }
  Status Probe() override {
    const std::lock_guard lock(state_->mu);
    return state_->broken ? NotFound("the fake device is not there") : OkStatus();
  }
  Result<std::unique_ptr<TensorBuffer>> Allocate(const BufferOptions& options) override {
    MLOS_RETURN_IF_ERROR(Works());
    {
      const std::lock_guard lock(state_->mu);
      state_->buffers.push_back(options);
      if (state_->no_buffers) return ResourceExhausted("the fake device's limit is reached");
    }
    return userspace_->Allocate(options);
  }
  Result<uint64_t> RegisterModel(const std::string& name) override {
    MLOS_RETURN_IF_ERROR(Works());
    return userspace_->RegisterModel(name);
  }
  Status UnregisterModel(uint64_t model) override {
    MLOS_RETURN_IF_ERROR(Works());
    return userspace_->UnregisterModel(model);
  }
  Result<std::unique_ptr<Execution>> Begin(const ExecutionOptions& options) override {
    std::unique_lock lock(state_->mu);
    state_->options.push_back(options);
    while (state_->busy >= state_->slots && !state_->broken) {
      if (!options.wait) return ResourceExhausted("no slot is free");
      if (options.stop && options.stop()) return Cancelled("given up");
      ++state_->waiting;
      state_->changed.notify_all();
      state_->changed.wait_for(lock, std::chrono::milliseconds(1));
      --state_->waiting;
    }
    if (state_->broken) return Internal("No such device");
    ++state_->begun;
    state_->most_busy = std::max(state_->most_busy, ++state_->busy);
    return std::unique_ptr<Execution>(new FakeExecution(state_));
  }
  Result<LatencySummary> Latency(uint64_t model) override { return userspace_->Latency(model); }
  BackendStats stats() const override {
    const std::lock_guard lock(state_->mu);
    return {.executions = state_->begun};
  }

 private:
  class FakeExecution final : public Execution {
   public:
    explicit FakeExecution(std::shared_ptr<State> state) : state_(std::move(state)) {}
    ~FakeExecution() override {
      const std::lock_guard lock(state_->mu);
      --state_->busy;
      state_->failed += failed_;
      state_->changed.notify_all();
    }
    void Fail() override { failed_ = true; }
    std::string_view boost() const override { return ""; }

   private:
    const std::shared_ptr<State> state_;
    bool failed_ = false;
  };

  Status Works() {
    const std::lock_guard lock(state_->mu);
    return state_->broken ? Internal("No such device") : OkStatus();
  }

  const std::shared_ptr<State> state_;
  const std::unique_ptr<Backend> userspace_ = MakeUserspaceBackend();
};

}  // namespace mlos::resources
