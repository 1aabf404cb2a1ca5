// SPDX-License-Identifier: Apache-2.0
#include "resources/backend.h"

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

std::unique_ptr<Backend> OpenBackend(const std::filesystem::path& device) {
  Result<std::unique_ptr<Backend>> kernel = OpenKernelBackend(device);
  if (kernel.ok()) return std::move(*kernel);
  return MakeUserspaceBackend(kernel.status().message());
}

}  // namespace mlos::resources
