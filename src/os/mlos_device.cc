// SPDX-License-Identifier: Apache-2.0
#include "os/mlos_device.h"

#include <fcntl.h>
#include <linux/mlos.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "os/errors.h"

namespace mlos::os {
namespace {

Status Failed(std::string_view operation) {
  switch (errno) {
    case ENOSPC:
    case ENOMEM:
    case EAGAIN:
      return ResourceExhausted(std::string(operation) + ": " + std::strerror(errno));
    case ETIME:
      return DeadlineExceeded(std::string(operation) + ": the deadline has passed");
    case EOPNOTSUPP:
    case ENOTTY:
      return Unimplemented(std::string(operation) + ": switched off in the kernel module");
    case EINVAL:
      return InvalidArgument(std::string(operation) + ": " + std::strerror(errno));
    case ENODATA:
      return FailedPrecondition(std::string(operation) + ": nothing is known yet");
    case ECANCELED:
      return Cancelled(std::string(operation) + ": the kernel took the slot back, it was held too long");
    default:
      return ErrnoStatus(errno, operation, kMlosDevice);
  }
}

template <typename T>
Status Call(const Descriptor& fd, unsigned long op, std::string_view name, T* argument) {
  argument->size = sizeof *argument;
  int rc;
  do {
    rc = ioctl(fd.get(), op, argument);
  } while (rc != 0 && errno == EINTR);
  return rc == 0 ? OkStatus() : Failed(name);
}

}  // namespace

Result<TensorMapping> TensorMapping::Map(const Descriptor& fd, uint64_t size_bytes, bool writable) {
  void* data = mmap(nullptr, size_bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "map a tensor", kMlosDevice);
  TensorMapping mapping;
  mapping.bytes_ = {static_cast<std::byte*>(data), static_cast<size_t>(size_bytes)};
  return mapping;
}

TensorMapping::~TensorMapping() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

Result<MlosDevice> MlosDevice::Open(const std::filesystem::path& path) {
  MlosDevice device;
  device.fd_ = Descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!device.fd_.valid()) return ErrnoStatus(errno, "open", path);
  struct stat node{};
  if (fstat(device.fd_.get(), &node) != 0) return ErrnoStatus(errno, "look at", path);
  device.path_ = path;
  device.node_ = node.st_rdev;
  mlos_version version{};
  MLOS_RETURN_IF_ERROR(Call(device.fd_, MLOS_IOC_VERSION, "ask the version of the kernel module", &version));
  if (version.abi_major != MLOS_ABI_MAJOR) {
    return Unimplemented("the kernel module speaks ABI " + std::to_string(version.abi_major) +
                         ", this build " + std::to_string(MLOS_ABI_MAJOR));
  }
  device.facts_ = {.slots = version.slots,
                   .tensors = (version.features & MLOS_FEATURE_TMM) != 0,
                   .read_only_descriptors = (version.features & MLOS_FEATURE_SHARE) != 0,
                   .scheduler = (version.features & MLOS_FEATURE_SCHED) != 0,
                   .accelerators = (version.features & MLOS_FEATURE_GPU) != 0,
                   .boost = (version.features & MLOS_FEATURE_BOOST) != 0,
                   .memory_limit = version.memory_limit};
  return device;
}

Result<uint64_t> MlosDevice::RegisterModel(const std::string& name) const {
  mlos_model_register a{};
  // Long names are cut: the kernel wants them for people only.
  std::strncpy(a.name, name.c_str(), sizeof a.name - 1);
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_MODEL_REGISTER, "register a model with the kernel", &a));
  return a.model_id;
}

Status MlosDevice::UnregisterModel(uint64_t model) const {
  mlos_model_unregister a{};
  a.model_id = model;
  return Call(fd_, MLOS_IOC_MODEL_UNREGISTER, "unregister a model", &a);
}

Result<MlosDevice::Tensor> MlosDevice::AllocateTensor(const TensorOptions& options) const {
  mlos_tensor_alloc a{};
  a.bytes = options.size_bytes;
  a.model_id = options.model;
  a.numa_node = options.numa_node;
  a.flags = (options.read_only ? MLOS_TENSOR_READONLY : 0) |
            (options.discardable ? MLOS_TENSOR_DISCARDABLE : 0) |
            (options.strict_node ? MLOS_ALLOC_NUMA_STRICT : 0);
  if (options.backing_fd >= 0) {
    a.flags |= MLOS_TENSOR_BACKED;
    a.backing_fd = options.backing_fd;
    a.backing_offset = options.backing_offset;
  }
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_TENSOR_ALLOC, "allocate a tensor", &a));
  return Tensor{.id = a.tensor_id, .fd = Descriptor(a.fd)};
}

Result<Descriptor> MlosDevice::ShareReadOnly(uint64_t tensor) const {
  mlos_tensor_share a{};
  a.tensor_id = tensor;
  a.flags = MLOS_SHARE_READONLY;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_TENSOR_SHARE, "share a tensor for reading", &a));
  return Descriptor(a.fd);
}

Status MlosDevice::FreeTensor(uint64_t tensor) const {
  mlos_tensor_free a{};
  a.tensor_id = tensor;
  return Call(fd_, MLOS_IOC_TENSOR_FREE, "free a tensor", &a);
}

Result<bool> MlosDevice::PinTensor(uint64_t tensor) const {
  mlos_tensor_op a{};
  a.tensor_id = tensor;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_TENSOR_PIN, "pin a tensor", &a));
  return (a.state & MLOS_TENSOR_STATE_LOST) != 0;
}

Result<bool> MlosDevice::UnpinTensor(uint64_t tensor) const {
  mlos_tensor_op a{};
  a.tensor_id = tensor;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_TENSOR_UNPIN, "unpin a tensor", &a));
  return (a.state & MLOS_TENSOR_STATE_LOST) != 0;
}

Result<uint64_t> MlosDevice::PrefetchTensor(uint64_t tensor, bool wait) const {
  mlos_tensor_op a{};
  a.tensor_id = tensor;
  a.flags = wait ? MLOS_PREFETCH_WAIT : 0;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_TENSOR_PREFETCH, "prefetch a tensor", &a));
  return a.resident_bytes;
}

Result<MlosDevice::Started> MlosDevice::Start(const StartOptions& options) const {
  mlos_inference_start a{};
  a.model_id = options.model;
  a.priority = options.priority;
  a.threads = options.threads;
  a.deadline_ns = static_cast<uint64_t>(options.deadline_ns);
  a.flags = (options.boost ? MLOS_INFERENCE_BOOST : 0) | (options.wait ? 0 : MLOS_INFERENCE_NOWAIT);
  static_assert(sizeof(int) == sizeof(int32_t));
  a.tids = options.tids.empty() ? 0 : reinterpret_cast<uintptr_t>(options.tids.data());
  a.n_tids = static_cast<uint32_t>(options.tids.size());
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_INFERENCE_START, "start an inference", &a));
  return Started{.id = a.inference_id, .granted = a.state == MLOS_INFERENCE_GRANTED};
}

Result<MlosDevice::Grant> MlosDevice::WaitGranted(uint64_t inference, int64_t until_ns) const {
  mlos_inference_wait a{};
  a.inference_id = inference;
  a.timeout_ns = static_cast<uint64_t>(until_ns);
  const Status waited = Call(fd_, MLOS_IOC_INFERENCE_WAIT, "wait for a slot", &a);
  if (waited.code() == Code::kDeadlineExceeded) return Grant::kNotYet;
  MLOS_RETURN_IF_ERROR(waited);
  return a.state == MLOS_INFERENCE_EXPIRED ? Grant::kExpired : Grant::kGranted;
}

Status MlosDevice::Probe() const {
  struct stat node{};
  if (stat(path_.c_str(), &node) != 0) return ErrnoStatus(errno, "look at", path_);
  if (!S_ISCHR(node.st_mode) || node.st_rdev != node_)
    return NotFound("'" + path_.string() + "' is another device now");
  mlos_version version{};
  return Call(fd_, MLOS_IOC_VERSION, "ask the kernel module", &version);
}

Result<int64_t> MlosDevice::Done(uint64_t inference, bool learn) const {
  mlos_inference_done a{};
  a.inference_id = inference;
  a.flags = learn ? 0 : MLOS_DONE_FAILED;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_INFERENCE_DONE, "end an inference", &a));
  return static_cast<int64_t>(a.duration_ns);
}

Result<MlosDevice::Latency> MlosDevice::ModelLatency(uint64_t model) const {
  mlos_model_latency_ext a{};
  a.model_id = model;
  MLOS_RETURN_IF_ERROR(Call(fd_, MLOS_IOC_MODEL_LATENCY_EXT, "ask a model's latency", &a));
  return Latency{.p50_ns = a.p50_duration_ns,
                 .p90_ns = a.p90_duration_ns,
                 .p99_ns = a.p99_duration_ns,
                 .samples = a.samples};
}

}  // namespace mlos::os
