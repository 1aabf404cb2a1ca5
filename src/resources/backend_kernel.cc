// SPDX-License-Identifier: Apache-2.0
// The kernel module: tensors are its descriptors, executions hold its slots.
#include <algorithm>
#include <atomic>
#include <utility>

#include "base/clock.h"
#include "os/file.h"
#include "os/mlos_device.h"
#include "os/thread_priority.h"
#include "resources/backend.h"

namespace mlos::resources {
namespace {

constexpr int64_t kLookNs = 50'000'000;

struct Counters {
  std::atomic<uint64_t> buffers{0}, buffer_bytes{0}, executions{0}, boosted{0};
};

class KernelBuffer final : public TensorBuffer {
 public:
  // `shared`: what others get in place of the tensor's first descriptor; may be invalid.
  KernelBuffer(const os::MlosDevice& device, Counters* counters, os::MlosDevice::Tensor tensor,
               os::Descriptor shared, os::TensorMapping mapping)
      : device_(device),
        counters_(counters),
        tensor_(std::move(tensor)),
        shared_(std::move(shared)),
        mapping_(std::move(mapping)) {
    ++counters_->buffers;
    counters_->buffer_bytes += mapping_.bytes().size();
  }
  ~KernelBuffer() override {
    --counters_->buffers;
    counters_->buffer_bytes -= mapping_.bytes().size();
    (void)device_.FreeTensor(tensor_.id);  // fails only for an id that is gone already
  }
  std::span<std::byte> bytes() override { return mapping_.bytes(); }
  int fd() const override { return shared_.valid() ? shared_.get() : tensor_.fd.get(); }
  Result<bool> Pin() override { return device_.PinTensor(tensor_.id); }
  Status Unpin() override {
    const Result<bool> lost = device_.UnpinTensor(tensor_.id);
    if (lost.status().code() == Code::kInvalidArgument) return FailedPrecondition("the buffer is not pinned");
    return lost.status();
  }
  Status Prefetch(bool wait) override { return device_.PrefetchTensor(tensor_.id, wait).status(); }
  Result<uint64_t> ResidentBytes() override {
    // A tensor that is mapped is read page by page; asking to read ahead reports what is there.
    return device_.PrefetchTensor(tensor_.id, true);
  }

 private:
  const os::MlosDevice& device_;
  Counters* const counters_;
  os::MlosDevice::Tensor tensor_;
  os::Descriptor shared_;
  os::TensorMapping mapping_;
};

class KernelExecution final : public Execution {
 public:
  KernelExecution(const os::MlosDevice& device, Counters* counters, uint64_t id, bool boosted)
      : device_(device), counters_(counters), id_(id), boosted_(boosted) {
    counters_->boosted += boosted;
  }
  ~KernelExecution() override {
    ++counters_->executions;
    (void)device_.Done(id_, !failed_);  // the slot may have been taken back; there is nothing to do about it
  }
  void Fail() override { failed_ = true; }
  std::string_view boost() const override { return boosted_ ? "realtime" : ""; }

 private:
  const os::MlosDevice& device_;
  Counters* const counters_;
  const uint64_t id_;
  const bool boosted_;
  bool failed_ = false;
};

class KernelBackend final : public Backend {
 public:
  KernelBackend(os::MlosDevice device, std::unique_ptr<Backend> userspace)
      : device_(std::move(device)), userspace_(std::move(userspace)) {
    const os::MlosDevice::Facts& f = device_.facts();
    if (!f.scheduler)
      why_ = "the kernel module's scheduler is switched off";
    else if (!f.accelerators)
      why_ = "the kernel module's list of accelerators is switched off";
  }

  RuntimeMode mode() const override {
    const os::MlosDevice::Facts& f = device_.facts();
    if (!f.scheduler) return RuntimeMode::kKernelBasic;
    return f.accelerators ? RuntimeMode::kKernelFull : RuntimeMode::kKernelSched;
  }
  std::string why() const override { return why_; }
  uint32_t slots() const override { return device_.facts().scheduler ? device_.facts().slots : 0; }
  Status Probe() override { return device_.Probe(); }

  Result<std::unique_ptr<TensorBuffer>> Allocate(const BufferOptions& options) override {
    if (!device_.facts().tensors) return userspace_->Allocate(options);
    if (options.size_bytes == 0) return InvalidArgument("a buffer of 0 bytes");
    os::File backing;
    if (options.others_read_only && options.backing.empty() && !device_.facts().read_only_descriptors)
      return Unimplemented("the kernel module is older than read-only descriptors of tensors (ABI 1.2)");
    os::MlosDevice::TensorOptions wanted = {
        .size_bytes = options.size_bytes,
        // Without a scheduler models are registered with the other backend.
        .model = device_.facts().scheduler ? options.model : 0,
        .numa_node = options.numa_node,
        .strict_node = options.strict_node && options.numa_node >= 0,
        .discardable = options.discardable};
    if (!options.backing.empty()) {
      MLOS_ASSIGN_OR_RETURN(backing, os::File::Open(options.backing, os::File::Mode::kRead));
      wanted.backing_fd = backing.fd();
      wanted.backing_offset = options.backing_offset;
      wanted.read_only = true;
    }
    MLOS_ASSIGN_OR_RETURN(os::MlosDevice::Tensor tensor, device_.AllocateTensor(wanted));
    Result<std::unique_ptr<TensorBuffer>> buffer = Adopt(options, wanted, &tensor);
    if (!buffer.ok()) (void)device_.FreeTensor(tensor.id);
    return buffer;
  }

  Result<uint64_t> RegisterModel(const std::string& name) override {
    if (!device_.facts().scheduler) return userspace_->RegisterModel(name);
    return device_.RegisterModel(name);
  }

  Status UnregisterModel(uint64_t model) override {
    if (!device_.facts().scheduler) return userspace_->UnregisterModel(model);
    const Status status = device_.UnregisterModel(model);
    if (status.code() == Code::kUnavailable || status.code() == Code::kInternal)
      return FailedPrecondition("an execution of the model is under way");
    return status;
  }

  Result<std::unique_ptr<Execution>> Begin(const ExecutionOptions& options) override {
    if (!device_.facts().scheduler) return userspace_->Begin(options);
    if (options.threads == 0) return InvalidArgument("an execution with 0 threads");
    const bool boost =
        options.boost && options.execution_class <= ExecutionClass::kHigh && device_.facts().boost;
    MLOS_ASSIGN_OR_RETURN(
        const os::MlosDevice::Started started,
        device_.Start({.model = options.model,
                       .priority = static_cast<uint32_t>(options.execution_class),
                       // More threads than slots hold all of them.
                       .threads = std::min(options.threads, device_.facts().slots),
                       .deadline_ns = options.deadline_ns,
                       .tids = boost ? std::span<const int>(options.tids) : std::span<const int>(),
                       .boost = boost,
                       .wait = options.wait}));
    if (!started.granted) MLOS_RETURN_IF_ERROR(AwaitGrant(started.id, options));
    return std::unique_ptr<Execution>(
        new KernelExecution(device_, &counters_, started.id, boost && IsRaised(options)));
  }

  Result<LatencySummary> Latency(uint64_t model) override {
    if (!device_.facts().scheduler) return userspace_->Latency(model);
    MLOS_ASSIGN_OR_RETURN(const os::MlosDevice::Latency latency, device_.ModelLatency(model));
    return LatencySummary{.samples = latency.samples,
                          .p50_ns = static_cast<int64_t>(latency.p50_ns),
                          .p90_ns = static_cast<int64_t>(latency.p90_ns),
                          .p99_ns = static_cast<int64_t>(latency.p99_ns)};
  }

  BackendStats stats() const override {
    BackendStats stats = userspace_->stats();
    stats.buffers += counters_.buffers;
    stats.buffer_bytes += counters_.buffer_bytes;
    stats.executions += counters_.executions;
    stats.boosted += counters_.boosted;
    return stats;
  }

 private:
  // The tensor is the buffer's when it succeeds.
  Result<std::unique_ptr<TensorBuffer>> Adopt(const BufferOptions& options,
                                              const os::MlosDevice::TensorOptions& wanted,
                                              os::MlosDevice::Tensor* tensor) {
    os::Descriptor shared;
    if (options.others_read_only && !wanted.read_only) {
      MLOS_ASSIGN_OR_RETURN(shared, device_.ShareReadOnly(tensor->id));
    }
    MLOS_ASSIGN_OR_RETURN(os::TensorMapping mapping,
                          os::TensorMapping::Map(tensor->fd, options.size_bytes, !wanted.read_only));
    return std::unique_ptr<TensorBuffer>(
        new KernelBuffer(device_, &counters_, std::move(*tensor), std::move(shared), std::move(mapping)));
  }

  // In steps, so that one who has gone away does not wait to the end.
  Status AwaitGrant(uint64_t id, const ExecutionOptions& options) {
    while (true) {
      const int64_t until_ns = options.stop ? Clock::Real().MonotonicNs() + kLookNs : 0;
      MLOS_ASSIGN_OR_RETURN(const os::MlosDevice::Grant grant, device_.WaitGranted(id, until_ns));
      if (grant == os::MlosDevice::Grant::kGranted) return OkStatus();
      if (grant == os::MlosDevice::Grant::kExpired)
        return DeadlineExceeded("the deadline passed before a slot was free");
      if (!options.stop || !options.stop()) continue;
      (void)device_.Done(id, false);  // takes it out of the queue
      return Cancelled("given up while it waited for a slot");
    }
  }

  // The kernel raises no more threads than leave a CPU for input and output.
  static bool IsRaised(const ExecutionOptions& options) {
    const Result<os::ThreadPriority> now =
        os::GetThreadPriority(options.tids.empty() ? os::ThisThread() : options.tids.front());
    return now.ok() && now->policy == os::ThreadPolicy::kRealtime;
  }

  const os::MlosDevice device_;
  const std::unique_ptr<Backend> userspace_;  // for parts that are switched off
  std::string why_;
  Counters counters_;
};

}  // namespace

Result<std::unique_ptr<Backend>> OpenKernelBackend(const std::filesystem::path& device) {
  MLOS_ASSIGN_OR_RETURN(os::MlosDevice opened, os::MlosDevice::Open(device));
  return std::unique_ptr<Backend>(new KernelBackend(std::move(opened), MakeUserspaceBackend()));
}

}  // namespace mlos::resources
