// SPDX-License-Identifier: Apache-2.0
// smi_load_params, checked and copied. The README says what each option does and why the defaults are what they are.
#pragma once

#include <cstdint>
#include <string>

#include "smi/smi.h"
#include "status.h"

namespace mlos::llama {

enum class Pooling { kFromFile = -1, kMean = 1, kCls = 2, kLast = 3 };  // values of llama_pooling_type
enum class Repack { kAuto, kOff, kOn };

struct LoadOptions {
  std::string path;
  uint32_t n_threads = 0;       // at most cpus; 0 = default
  uint32_t cpus = 1;            // that this process may use
  uint32_t context_length = 0;  // 0 = default
  uint32_t max_sequences = 0;   // 0 = default
  uint32_t batch = 512;         // tokens the engine takes in one step
  uint32_t max_queue = 256;     // calls waiting for a sequence
  Pooling pooling = Pooling::kFromFile;
  Repack repack = Repack::kAuto;
  bool normalize = true;  // embeddings have length 1
};

// SMI_INVALID_ARGUMENT names the option, what it takes and what came.
Status ParseLoadParams(const smi_load_params* params, LoadOptions* options);

}  // namespace mlos::llama
