// SPDX-License-Identifier: Apache-2.0
// /dev/mlos-ml, the kernel module's device; kernel/include/uapi/linux/mlos.h says what each operation does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"
#include "os/descriptor.h"

namespace mlos::os {

inline constexpr const char* kMlosDevice = "/dev/mlos-ml";

// A tensor's bytes; unmapped by the destructor.
class TensorMapping {
 public:
  static Result<TensorMapping> Map(const Descriptor& fd, uint64_t size_bytes, bool writable);
  TensorMapping() = default;
  ~TensorMapping();
  TensorMapping(TensorMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  TensorMapping& operator=(TensorMapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// Thread-safe after Open. Ids belong to this object; when it goes, everything made through it ends.
class MlosDevice {
 public:
  struct Facts {
    uint32_t slots = 0;  // CPU threads granted at a time
    bool tensors = false;
    bool read_only_descriptors = false;  // ShareReadOnly works
    bool scheduler = false;
    bool accelerators = false;
    bool boost = false;
    uint64_t memory_limit = 0;  // 0 = none
  };
  struct TensorOptions {
    uint64_t size_bytes = 0;
    uint64_t model = 0;  // of RegisterModel; 0 = none
    int numa_node = -1;  // -1 = any
    bool strict_node = false;
    bool read_only = false;    // needs a backing file
    bool discardable = false;  // content may go when memory is short
    int backing_fd = -1;       // borrowed
    uint64_t backing_offset = 0;
  };
  struct Tensor {
    uint64_t id = 0;
    Descriptor fd;
  };
  struct StartOptions {
    uint64_t model = 0;
    uint32_t priority = 2;  // 0 realtime .. 3 batch
    uint32_t threads = 1;
    int64_t deadline_ns = 0;    // CLOCK_MONOTONIC; 0 = none
    std::span<const int> tids;  // to raise; empty = the calling thread; at most 64
    bool boost = false;
    bool wait = true;  // false: kResourceExhausted rather than a place in the queue
  };
  struct Latency {
    uint64_t p50_ns = 0, p90_ns = 0, p99_ns = 0, samples = 0;
  };

  // kNotFound: no module. kPermissionDenied: not in the device's group. kUnimplemented: another ABI.
  static Result<MlosDevice> Open(const std::filesystem::path& path = kMlosDevice);

  const Facts& facts() const { return facts_; }
  Result<uint64_t> RegisterModel(const std::string& name) const;
  Status UnregisterModel(uint64_t model) const;
  Result<Tensor> AllocateTensor(const TensorOptions& options) const;
  // One more descriptor, which can be mapped for reading only.
  Result<Descriptor> ShareReadOnly(uint64_t tensor) const;
  Status FreeTensor(uint64_t tensor) const;
  // True = content was dropped since the last pin or unpin.
  Result<bool> PinTensor(uint64_t tensor) const;
  Result<bool> UnpinTensor(uint64_t tensor) const;
  // Resident bytes, as they are when it returns.
  Result<uint64_t> PrefetchTensor(uint64_t tensor, bool wait) const;
  struct Started {
    uint64_t id = 0;
    bool granted = false;
  };
  Result<Started> Start(const StartOptions& options) const;
  enum class Grant {
    kGranted,
    kExpired,  // its deadline passed in the queue; the inference is gone
    kNotYet,   // until_ns has come
  };
  // Blocks until then at most; CLOCK_MONOTONIC, 0 = no limit.
  Result<Grant> WaitGranted(uint64_t inference, int64_t until_ns = 0) const;
  // The time since the grant, in nanoseconds.
  Result<int64_t> Done(uint64_t inference, bool learn) const;
  Result<Latency> ModelLatency(uint64_t model) const;
  // OK while the module answers and its device node is where it was.
  Status Probe() const;

 private:
  Descriptor fd_;
  std::filesystem::path path_;
  uint64_t node_ = 0;  // st_rdev of path_
  Facts facts_;
};

}  // namespace mlos::os
