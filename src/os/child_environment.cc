// SPDX-License-Identifier: Apache-2.0
// Tokens and passwords live in the environment: a program that runs foreign code gets only what is known to be harmless.
#include <unistd.h>

#include <string_view>

#include "os/child_process.h"

extern char** environ;

namespace mlos::os {
namespace {

constexpr std::string_view kNames[] = {"PATH",          "HOME", "USER",   "LOGNAME",         "LANG",
                                       "LANGUAGE",      "TZ",   "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD",
                                       "GLIBC_TUNABLES"};
constexpr std::string_view kPrefixes[] = {"LC_",   "OMP_",    "GOMP_",  "KMP_",  "MKL_",    "OPENBLAS_",
                                          "ORT_",  "GGML_",   "LLAMA_", "CUDA_", "NVIDIA_", "HIP_",
                                          "ROCR_", "MALLOC_", "ASAN_",  "LSAN_", "TSAN_",   "UBSAN_"};

bool Harmless(std::string_view name) {
  for (const std::string_view known : kNames) {
    if (name == known) return true;
  }
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) return name.find("TOKEN") == name.npos && name.find("KEY") == name.npos;
  }
  return false;
}

}  // namespace

std::vector<std::string> ChildEnvironment() {
  std::vector<std::string> kept;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (Harmless(text.substr(0, text.find('=')))) kept.emplace_back(text);
  }
  return kept;
}

}  // namespace mlos::os
