// SPDX-License-Identifier: Apache-2.0
// One backend for as long as it works, plain Linux from then on: the kernel module may be unloaded, and its device node removed,
// under a running daemon. Buffers and executions of the first one stay valid until they end; it is closed with the last of them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "resources/backend.h"

namespace mlos::resources {

class FailoverBackend final : public Backend {
 public:
  // `lost` is called once, with the reason; may be empty.
  using LostFn = std::function<void(const std::string& why)>;
  FailoverBackend(std::unique_ptr<Backend> first, LostFn lost);

  RuntimeMode mode() const override { return current()->mode(); }
  std::string why() const override { return current()->why(); }
  uint32_t slots() const override { return current()->slots(); }
  // Always OK: what does not work is let go.
  Status Probe() override;

  Result<std::unique_ptr<TensorBuffer>> Allocate(const BufferOptions& options) override;
  Result<uint64_t> RegisterModel(const std::string& name) override;
  Status UnregisterModel(uint64_t model) override;
  Result<std::unique_ptr<Execution>> Begin(const ExecutionOptions& options) override;
  Result<LatencySummary> Latency(uint64_t model) override;
  // Of both.
  BackendStats stats() const override;

 private:
  // A model has another id in each backend; 0 = not registered there.
  struct Model {
    std::string name;
    uint64_t in_first = 0;
    uint64_t in_second = 0;
  };
  struct Place {
    std::shared_ptr<Backend> backend;
    uint64_t model = 0;
  };

  std::shared_ptr<Backend> current() const;
  // Where the model is, registered there when it was not.
  Result<Place> Find(uint64_t model);
  // The same; in the second backend when the first turns out to be gone.
  Result<Place> FindOrLetGo(uint64_t model);
  // True when `failed` means that the first backend is gone; it is let go then.
  bool LetGo(const std::shared_ptr<Backend>& used, const Status& failed);

  const LostFn lost_;

  mutable Mutex mu_;
  std::shared_ptr<Backend> first_ MLOS_GUARDED_BY(mu_);   // null: gone
  std::shared_ptr<Backend> second_ MLOS_GUARDED_BY(mu_);  // null: not needed yet
  BackendStats of_first_ MLOS_GUARDED_BY(mu_);            // when it went
  const std::shared_ptr<std::atomic<bool>> first_is_gone_ = std::make_shared<std::atomic<bool>>(false);
  uint64_t last_model_ MLOS_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Model> models_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::resources
