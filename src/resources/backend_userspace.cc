// SPDX-License-Identifier: Apache-2.0
// Plain Linux: memfd, mlock, madvise, mbind, thread priorities.
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "os/file.h"
#include "os/mapped_file.h"
#include "os/memory_placement.h"
#include "os/shared_memory.h"
#include "resources/backend.h"
#include "resources/thread_boost.h"

namespace mlos::resources {
namespace {

struct Counters {
  std::atomic<uint64_t> buffers{0}, buffer_bytes{0}, executions{0}, boosted{0}, boost_refused{0};
};

class CountedBuffer : public TensorBuffer {
 public:
  CountedBuffer(std::shared_ptr<Counters> counters, uint64_t bytes)
      : counters_(std::move(counters)), asked_(bytes) {
    ++counters_->buffers;
    counters_->buffer_bytes += asked_;
  }
  ~CountedBuffer() override {
    --counters_->buffers;
    counters_->buffer_bytes -= asked_;
  }

  Result<bool> Pin() override {
    MutexLock lock(mu_);
    if (pins_ == 0) MLOS_RETURN_IF_ERROR(os::PinMemory(bytes()));
    ++pins_;
    return false;  // nothing is dropped here but what its file still holds
  }
  Status Unpin() override {
    MutexLock lock(mu_);
    if (pins_ == 0) return FailedPrecondition("the buffer is not pinned");
    if (--pins_ > 0) return OkStatus();
    return os::UnpinMemory(bytes());
  }
  Status Prefetch(bool wait) override { return os::PrefetchMemory(bytes(), wait); }
  Result<uint64_t> ResidentBytes() override { return os::ResidentBytes(bytes()); }

 private:
  const std::shared_ptr<Counters> counters_;  // a buffer may outlive its backend
  const uint64_t asked_;
  Mutex mu_;
  uint32_t pins_ MLOS_GUARDED_BY(mu_) = 0;
};

class AnonymousBuffer final : public CountedBuffer {
 public:
  AnonymousBuffer(std::shared_ptr<Counters> counters, os::SharedMemory memory, uint64_t bytes)
      : CountedBuffer(std::move(counters), bytes), memory_(std::move(memory)), bytes_(bytes) {}
  std::span<std::byte> bytes() override { return {memory_.data(), bytes_}; }
  int fd() const override { return memory_.fd().get(); }

 private:
  os::SharedMemory memory_;
  const uint64_t bytes_;
};

class FileBuffer final : public CountedBuffer {
 public:
  FileBuffer(std::shared_ptr<Counters> counters, os::MappedFile file, uint64_t offset, uint64_t bytes)
      : CountedBuffer(std::move(counters), bytes), file_(std::move(file)), offset_(offset), bytes_(bytes) {}
  // The mapping is read-only; the interface has one type of span for both kinds.
  std::span<std::byte> bytes() override {
    return {const_cast<std::byte*>(file_.bytes().data()) + offset_, static_cast<size_t>(bytes_)};
  }
  int fd() const override { return -1; }

 private:
  os::MappedFile file_;
  const uint64_t offset_;
  const uint64_t bytes_;
};

// The last durations of a model.
class Durations {
 public:
  void Add(int64_t ns) {
    values_[samples_ % values_.size()] = ns;
    ++samples_;
  }
  LatencySummary Summary() const {
    std::vector<int64_t> sorted(values_.begin(), values_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(
                                                                       samples_, values_.size())));
    if (sorted.empty()) return {};
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](size_t percent) {
      return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
    };
    return {.samples = samples_, .p50_ns = at(50), .p90_ns = at(90), .p99_ns = at(99)};
  }

 private:
  std::array<int64_t, 512> values_{};
  uint64_t samples_ = 0;
};

class UserspaceBackend;

class UserspaceExecution final : public Execution {
 public:
  UserspaceExecution(UserspaceBackend* backend, uint64_t model, ThreadBoost boost)
      : backend_(backend),
        model_(model),
        boost_(std::move(boost)),
        started_ns_(Clock::Real().MonotonicNs()) {}
  ~UserspaceExecution() override;
  void Fail() override { failed_ = true; }
  std::string_view boost() const override { return boost_.how(); }

 private:
  UserspaceBackend* const backend_;
  const uint64_t model_;
  const ThreadBoost boost_;
  const int64_t started_ns_;
  bool failed_ = false;
};

class UserspaceBackend final : public Backend {
 public:
  explicit UserspaceBackend(std::string why) : why_(std::move(why)) {}

  RuntimeMode mode() const override { return RuntimeMode::kUserspace; }
  std::string why() const override { return why_; }

  Result<std::unique_ptr<TensorBuffer>> Allocate(const BufferOptions& options) override {
    if (options.size_bytes == 0) return InvalidArgument("a buffer of 0 bytes");
    if (!options.backing.empty()) return AllocateFile(options);
    const std::string name = options.name.empty() ? "mlos-tensor" : options.name;
    MLOS_ASSIGN_OR_RETURN(os::SharedMemory memory,
                          options.others_read_only
                              ? os::SharedMemory::CreateReadOnlyForOthers(name, options.size_bytes)
                              : os::SharedMemory::Create(name, options.size_bytes));
    if (options.numa_node >= 0) {
      const Status bound = os::BindMemory({memory.data(), static_cast<size_t>(options.size_bytes)},
                                          options.numa_node, options.strict_node);
      // Without memory policies there is one node only, and a wish can be ignored.
      if (!bound.ok() && (options.strict_node || bound.code() != Code::kUnimplemented)) return bound;
    }
    return std::unique_ptr<TensorBuffer>(
        new AnonymousBuffer(counters_, std::move(memory), options.size_bytes));
  }

  Result<uint64_t> RegisterModel(const std::string& name) override {
    if (name.empty()) return InvalidArgument("a model needs a name");
    MutexLock lock(mu_);
    models_.emplace(++last_model_, Model{});
    return last_model_;
  }

  Status UnregisterModel(uint64_t model) override {
    MutexLock lock(mu_);
    const auto it = models_.find(model);
    if (it == models_.end()) return NotFound("model " + std::to_string(model) + " is not registered");
    if (it->second.active > 0) return FailedPrecondition("an execution of the model is under way");
    models_.erase(it);
    return OkStatus();
  }

  Result<std::unique_ptr<Execution>> Begin(const ExecutionOptions& options) override {
    if (options.threads == 0) return InvalidArgument("an execution with 0 threads");
    if (options.deadline_ns > 0 && options.deadline_ns <= Clock::Real().MonotonicNs()) {
      return DeadlineExceeded("the deadline has passed");
    }
    {
      MutexLock lock(mu_);
      const auto it = models_.find(options.model);
      if (it == models_.end())
        return NotFound("model " + std::to_string(options.model) + " is not registered");
      ++it->second.active;
    }
    ThreadBoost boost;
    if (options.boost && options.execution_class <= ExecutionClass::kHigh) {
      ThreadBoost raised(BoostMode::kRealtime,
                         options.tids.empty() ? std::vector<int>{os::ThisThread()} : options.tids);
      counters_->boosted += !raised.how().empty();
      counters_->boost_refused += raised.refused();
      return std::unique_ptr<Execution>(new UserspaceExecution(this, options.model, std::move(raised)));
    }
    return std::unique_ptr<Execution>(new UserspaceExecution(this, options.model, std::move(boost)));
  }

  Result<LatencySummary> Latency(uint64_t model) override {
    MutexLock lock(mu_);
    const auto it = models_.find(model);
    if (it == models_.end()) return NotFound("model " + std::to_string(model) + " is not registered");
    return it->second.durations.Summary();
  }

  BackendStats stats() const override {
    return {.buffers = counters_->buffers,
            .buffer_bytes = counters_->buffer_bytes,
            .executions = counters_->executions,
            .boosted = counters_->boosted,
            .boost_refused = counters_->boost_refused};
  }

  void Ended(uint64_t model, int64_t duration_ns, bool failed) {
    ++counters_->executions;
    MutexLock lock(mu_);
    Model& m = models_.at(model);
    --m.active;
    if (!failed) m.durations.Add(duration_ns);
  }

 private:
  struct Model {
    uint32_t active = 0;
    Durations durations;
  };

  Result<std::unique_ptr<TensorBuffer>> AllocateFile(const BufferOptions& options) {
    if (options.discardable) return InvalidArgument("a buffer with a backing file is never discardable");
    MLOS_ASSIGN_OR_RETURN(os::MappedFile file, os::MappedFile::Open(options.backing));
    if (options.backing_offset > file.bytes().size() ||
        options.size_bytes > file.bytes().size() - options.backing_offset) {
      return InvalidArgument("'" + options.backing.string() + "' has " + std::to_string(file.bytes().size()) +
                             " bytes, wanted are " + std::to_string(options.size_bytes) + " from " +
                             std::to_string(options.backing_offset));
    }
    if (options.backing_offset % 4096 != 0)
      return InvalidArgument("the backing offset is no multiple of 4096");
    return std::unique_ptr<TensorBuffer>(
        new FileBuffer(counters_, std::move(file), options.backing_offset, options.size_bytes));
  }

  const std::string why_;
  const std::shared_ptr<Counters> counters_ = std::make_shared<Counters>();
  mutable Mutex mu_;
  uint64_t last_model_ MLOS_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Model> models_ MLOS_GUARDED_BY(mu_);
};

UserspaceExecution::~UserspaceExecution() {
  backend_->Ended(model_, Clock::Real().MonotonicNs() - started_ns_, failed_);
}

}  // namespace

std::unique_ptr<Backend> MakeUserspaceBackend(std::string why) {
  return std::make_unique<UserspaceBackend>(std::move(why));
}

}  // namespace mlos::resources
