// SPDX-License-Identifier: Apache-2.0
#include "resources/backend.h"

#include "resources/failover_backend.h"

namespace mlos::resources {

std::string_view RuntimeModeName(RuntimeMode mode) {
  switch (mode) {
    case RuntimeMode::kUserspace:
      return "userspace";
    case RuntimeMode::kKernelBasic:
      return "kernel_basic";
    case RuntimeMode::kKernelSched:
      return "kernel_sched";
    case RuntimeMode::kKernelFull:
      return "kernel_full";
  }
  return "userspace";
}

std::unique_ptr<Backend> OpenBackend(const std::filesystem::path& device,
                                     std::function<void(const std::string& why)> lost) {
  Result<std::unique_ptr<Backend>> kernel = OpenKernelBackend(device);
  if (kernel.ok()) return std::make_unique<FailoverBackend>(std::move(*kernel), std::move(lost));
  return MakeUserspaceBackend(kernel.status().message());
}

}  // namespace mlos::resources
