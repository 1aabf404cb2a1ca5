// SPDX-License-Identifier: Apache-2.0
// What the machine does for inference: tensor memory, and CPU slots with priority for executions. One interface, two
// implementations: the kernel module, which schedules across processes and users, and plain Linux calls, which serve this process.
// Both pass backend_test.cc; nothing needs the module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::resources {

// As the original system names them: which of the kernel module's parts are used.
enum class RuntimeMode { kUserspace, kKernelBasic, kKernelSched, kKernelFull };
std::string_view RuntimeModeName(
    RuntimeMode mode);  // "userspace" "kernel_basic" "kernel_sched" "kernel_full"

struct BufferOptions {
  std::string name;  // for people
  uint64_t size_bytes = 0;
  int numa_node = -1;        // -1 = any
  bool strict_node = false;  // fail rather than use another
  // The content, read from there when touched; such a buffer is read-only and may leave memory at any time.
  std::filesystem::path backing;
  uint64_t backing_offset = 0;
  bool discardable = false;       // content may go when memory is short, see Pin; not with a backing file
  uint64_t model = 0;             // of RegisterModel, for people; 0 = none
  bool others_read_only = false;  // whoever gets fd() can map it for reading only
};

// Mapped until destroyed. Pin, Unpin and Prefetch: any thread. The bytes are the caller's to synchronise.
class TensorBuffer {
 public:
  virtual ~TensorBuffer() = default;
  virtual std::span<std::byte> bytes() = 0;
  // For another process to map; borrowed. -1 when the buffer cannot be shared.
  virtual int fd() const = 0;
  // True once it keeps something that is to go: the kernel module, which its backend has let go of. It works on; whoever can puts
  // another one in its place.
  virtual bool is_abandoned() const { return false; }
  // Brings every page in and keeps it. True: content was dropped since the last Pin or Unpin and reads as zeros. Pins count.
  virtual Result<bool> Pin() = 0;
  // kFailedPrecondition when not pinned.
  virtual Status Unpin() = 0;
  // Reads ahead of use; with `wait`, returns when it is there.
  virtual Status Prefetch(bool wait) = 0;
  virtual Result<uint64_t> ResidentBytes() = 0;
};

enum class ExecutionClass { kRealtime = 0, kHigh = 1, kNormal = 2, kBatch = 3 };

struct ExecutionOptions {
  uint64_t model = 0;  // of RegisterModel
  ExecutionClass execution_class = ExecutionClass::kNormal;
  int64_t deadline_ns = 0;  // CLOCK_MONOTONIC; 0 = none
  uint32_t threads = 1;
  // Threads that execute, of this process; empty = the calling one. REALTIME and HIGH raise them until the end.
  std::vector<int> tids;
  bool boost = true;
  bool wait = true;  // false: kResourceExhausted rather than waiting for a slot
  std::function<bool()>
      stop;  // looked at now and then while it waits; true gives up with kCancelled. May be empty
};

// An execution under way. Ends, and threads are as they were, when it is destroyed.
class Execution {
 public:
  virtual ~Execution() = default;
  // Before destruction, when it failed: its duration is not learnt.
  virtual void Fail() = 0;
  // How the threads are raised; empty = not.
  virtual std::string_view boost() const = 0;  // "realtime", "nice", ""
};

struct LatencySummary {
  uint64_t samples = 0;
  int64_t p50_ns = 0;
  int64_t p90_ns = 0;
  int64_t p99_ns = 0;
};

struct BackendStats {
  uint64_t buffers = 0;        // alive
  uint64_t buffer_bytes = 0;   // of those, as asked for
  uint64_t executions = 0;     // ended
  uint64_t boosted = 0;        // of those
  uint64_t boost_refused = 0;  // wanted, and the right was missing
};

// Thread-safe. Buffers and executions must end before it does, unless failover_backend.h says otherwise.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual RuntimeMode mode() const = 0;
  // Why not a higher mode, for people; empty in kKernelFull.
  virtual std::string why() const = 0;
  // CPU threads that executions of all processes get at a time; 0: nothing is scheduled, and Begin need not be called.
  virtual uint32_t slots() const { return 0; }
  // Whether what it stands on still works, else why not. To be called now and then.
  virtual Status Probe() { return OkStatus(); }

  // kInvalidArgument, kNotFound (backing file), kResourceExhausted.
  virtual Result<std::unique_ptr<TensorBuffer>> Allocate(const BufferOptions& options) = 0;

  virtual Result<uint64_t> RegisterModel(const std::string& name) = 0;
  // kFailedPrecondition while an execution of it is under way.
  virtual Status UnregisterModel(uint64_t model) = 0;
  // Blocks while slots are taken (kernel module), by class, then deadline. kDeadlineExceeded when that passes first. The module
  // raises threads of this process only.
  virtual Result<std::unique_ptr<Execution>> Begin(const ExecutionOptions& options) = 0;
  virtual Result<LatencySummary> Latency(uint64_t model) = 0;
  virtual BackendStats stats() const = 0;
};

std::unique_ptr<Backend> MakeUserspaceBackend(std::string why = "");
// kNotFound or kPermissionDenied without a usable module.
Result<std::unique_ptr<Backend>> OpenKernelBackend(const std::filesystem::path& device);

// The kernel module when it can be used, until it is gone, and plain Linux else; never fails. why() tells. `lost` is called once, with
// the reason, when the module goes.
std::unique_ptr<Backend> OpenBackend(const std::filesystem::path& device = "/dev/mlos-ml",
                                     std::function<void(const std::string& why)> lost = {});

}  // namespace mlos::resources
