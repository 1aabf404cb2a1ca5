// SPDX-License-Identifier: Apache-2.0
// mlos-quantize IN.gguf OUT.gguf TYPE [THREADS]: llama.cpp's quantiser as a program of its own, so that what converts models does not
// link the engine and does not die of its assertions. Exit status 0; 1 with a message on standard error; 2 for wrong usage.
#include <llama.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace {

constexpr std::array<std::pair<std::string_view, llama_ftype>, 17> kTypes = {
    {{"q2_k", LLAMA_FTYPE_MOSTLY_Q2_K},
     {"q3_k_s", LLAMA_FTYPE_MOSTLY_Q3_K_S},
     {"q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M},
     {"q3_k_l", LLAMA_FTYPE_MOSTLY_Q3_K_L},
     {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
     {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
     {"q4_k_s", LLAMA_FTYPE_MOSTLY_Q4_K_S},
     {"q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M},
     {"q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
     {"q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
     {"q5_k_s", LLAMA_FTYPE_MOSTLY_Q5_K_S},
     {"q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M},
     {"q6_k", LLAMA_FTYPE_MOSTLY_Q6_K},
     {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
     {"f16", LLAMA_FTYPE_MOSTLY_F16},
     {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
     {"f32", LLAMA_FTYPE_ALL_F32}}};

void Log(ggml_log_level level, const char* text, void* /*unused*/) {
  if (level >= GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fputs("usage: mlos-quantize IN.gguf OUT.gguf TYPE [THREADS]\n", stderr);
    return 2;
  }
  const auto* type =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& known) { return known.first == argv[3]; });
  if (type == kTypes.end()) {
    std::fprintf(stderr, "type '%s'; there are:", argv[3]);
    for (const auto& known : kTypes) std::fprintf(stderr, " %s", known.first.data());
    std::fputs("\n", stderr);
    return 2;
  }
  llama_log_set(Log, nullptr);
  llama_backend_init();
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type->second;
  params.nthread = argc == 5 ? std::atoi(argv[4]) : 0;
  const uint32_t failed = llama_model_quantize(argv[1], argv[2], &params);
  if (failed != 0) std::fprintf(stderr, "llama.cpp could not quantise %s\n", argv[1]);
  return failed == 0 ? 0 : 1;
}
