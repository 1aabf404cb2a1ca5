// SPDX-License-Identifier: Apache-2.0
#include "resources/failover_backend.h"

#include <utility>

namespace mlos::resources {
namespace {

// What a working backend may answer as well.
bool SaysNothingOfTheBackend(Code code) {
  return code == Code::kOk || code == Code::kDeadlineExceeded || code == Code::kCancelled ||
         code == Code::kResourceExhausted || code == Code::kInvalidArgument || code == Code::kNotFound ||
         code == Code::kFailedPrecondition;
}

// They keep the backend that made them; members go in reverse.
class KeptExecution final : public Execution {
 public:
  KeptExecution(std::shared_ptr<Backend> backend, std::unique_ptr<Execution> execution)
      : backend_(std::move(backend)), execution_(std::move(execution)) {}
  void Fail() override { execution_->Fail(); }
  std::string_view boost() const override { return execution_->boost(); }

 private:
  const std::shared_ptr<Backend> backend_;
  const std::unique_ptr<Execution> execution_;
};

class KeptBuffer final : public TensorBuffer {
 public:
  // `gone` may be null.
  KeptBuffer(std::shared_ptr<Backend> backend, std::unique_ptr<TensorBuffer> buffer,
             std::shared_ptr<const std::atomic<bool>> gone)
      : backend_(std::move(backend)), buffer_(std::move(buffer)), gone_(std::move(gone)) {}
  std::span<std::byte> bytes() override { return buffer_->bytes(); }
  int fd() const override { return buffer_->fd(); }
  bool is_abandoned() const override { return gone_ != nullptr && gone_->load(); }
  Result<bool> Pin() override { return buffer_->Pin(); }
  Status Unpin() override { return buffer_->Unpin(); }
  Status Prefetch(bool wait) override { return buffer_->Prefetch(wait); }
  Result<uint64_t> ResidentBytes() override { return buffer_->ResidentBytes(); }

 private:
  const std::shared_ptr<Backend> backend_;
  const std::unique_ptr<TensorBuffer> buffer_;
  const std::shared_ptr<const std::atomic<bool>> gone_;
};

}  // namespace

FailoverBackend::FailoverBackend(std::unique_ptr<Backend> first, LostFn lost)
    : lost_(std::move(lost)), first_(std::move(first)) {}

std::shared_ptr<Backend> FailoverBackend::current() const {
  MutexLock lock(mu_);
  return first_ != nullptr ? first_ : second_;
}

Status FailoverBackend::Probe() {
  const std::shared_ptr<Backend> used = current();
  LetGo(used, Internal("asked"));
  return OkStatus();
}

bool FailoverBackend::LetGo(const std::shared_ptr<Backend>& used, const Status& failed) {
  if (SaysNothingOfTheBackend(failed.code())) return false;
  const Status probed = used->Probe();
  std::string why;
  {
    MutexLock lock(mu_);
    if (used == second_) return false;
    if (used != first_) return true;  // somebody else was faster
    if (probed.ok()) return false;
    why = "the kernel module is gone: " + probed.message();
    of_first_ = first_->stats();
    of_first_.buffers = 0;
    of_first_.buffer_bytes = 0;
    second_ = MakeUserspaceBackend(why);
    first_ = nullptr;
    first_is_gone_->store(true);
  }
  if (lost_) lost_(why);
  return true;
}

Result<std::unique_ptr<TensorBuffer>> FailoverBackend::Allocate(const BufferOptions& options) {
  while (true) {
    Place place{.backend = current()};
    if (options.model != 0) {
      MLOS_ASSIGN_OR_RETURN(place, FindOrLetGo(options.model));
    }
    BufferOptions mine = options;
    mine.model = place.model;
    Result<std::unique_ptr<TensorBuffer>> buffer = place.backend->Allocate(mine);
    if (buffer.ok()) {
      return std::unique_ptr<TensorBuffer>(
          new KeptBuffer(place.backend, std::move(*buffer),
                         place.backend->mode() == RuntimeMode::kUserspace ? nullptr : first_is_gone_));
    }
    if (!LetGo(place.backend, buffer.status())) return buffer;
  }
}

Result<uint64_t> FailoverBackend::RegisterModel(const std::string& name) {
  uint64_t id = 0;
  {
    MutexLock lock(mu_);
    id = ++last_model_;
    models_[id].name = name;
  }
  const Result<Place> place = FindOrLetGo(id);
  if (place.ok()) return id;
  MutexLock lock(mu_);
  models_.erase(id);
  return place.status();
}

Result<FailoverBackend::Place> FailoverBackend::Find(uint64_t model) {
  MutexLock lock(mu_);
  const auto it = models_.find(model);
  if (it == models_.end()) return NotFound("model " + std::to_string(model) + " is not registered");
  const std::shared_ptr<Backend>& backend = first_ != nullptr ? first_ : second_;
  uint64_t& id = first_ != nullptr ? it->second.in_first : it->second.in_second;
  if (id == 0) {
    MLOS_ASSIGN_OR_RETURN(id, backend->RegisterModel(it->second.name));
  }
  return Place{backend, id};
}

Result<FailoverBackend::Place> FailoverBackend::FindOrLetGo(uint64_t model) {
  while (true) {
    const std::shared_ptr<Backend> used = current();
    Result<Place> place = Find(model);
    if (place.ok() || !LetGo(used, place.status())) return place;
  }
}

Status FailoverBackend::UnregisterModel(uint64_t model) {
  MLOS_ASSIGN_OR_RETURN(const Place place, Find(model));
  const Status status = place.backend->UnregisterModel(place.model);
  if (!status.ok() && !LetGo(place.backend, status)) return status;
  MutexLock lock(mu_);
  models_.erase(model);
  return OkStatus();
}

Result<std::unique_ptr<Execution>> FailoverBackend::Begin(const ExecutionOptions& options) {
  while (true) {
    MLOS_ASSIGN_OR_RETURN(const Place place, FindOrLetGo(options.model));
    ExecutionOptions mine = options;
    mine.model = place.model;
    Result<std::unique_ptr<Execution>> execution = place.backend->Begin(mine);
    if (execution.ok())
      return std::unique_ptr<Execution>(new KeptExecution(place.backend, std::move(*execution)));
    if (!LetGo(place.backend, execution.status())) return execution;
  }
}

Result<LatencySummary> FailoverBackend::Latency(uint64_t model) {
  MLOS_ASSIGN_OR_RETURN(const Place place, Find(model));
  return place.backend->Latency(place.model);
}

BackendStats FailoverBackend::stats() const {
  MutexLock lock(mu_);
  if (first_ != nullptr) return first_->stats();
  BackendStats out = second_->stats();
  out.executions += of_first_.executions;
  out.boosted += of_first_.boosted;
  out.boost_refused += of_first_.boost_refused;
  return out;
}

}  // namespace mlos::resources
