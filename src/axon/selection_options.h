// SPDX-License-Identifier: Apache-2.0
// The options by which `install` and `info --remote` choose files.
#pragma once

#include <CLI/CLI.hpp>

#include "hub/select.h"

namespace mlos::axon {

inline void AddSelectionOptions(CLI::App* verb, hub::SelectOptions* select) {
  verb->add_option("-f,--format", select->format,
                   "gguf, onnx, safetensors or pytorch (default: the first of these there is)");
  verb->add_option("--file", select->file, "this weight file, by its path in the repository");
  verb->add_option("--quant", select->quant, "quantisation of a GGUF model, such as q4_k_m or q8_0");
  verb->add_option("--include", select->include, "exactly the files that match this glob (repeatable)")
      ->allow_extra_args(false);
  verb->add_option("--exclude", select->exclude, "not the files that match this glob (repeatable)")
      ->allow_extra_args(false);
}

}  // namespace mlos::axon
