// SPDX-License-Identifier: Apache-2.0
// axon convert of a decoder-only language model, which becomes a GGUF file instead of ONNX.
#pragma once

#include <filesystem>
#include <string>

#include "axon/context.h"

namespace mlos::axon {

struct ConvertGguf {
  std::filesystem::path folder;
  std::string weights;   // one file of the folder; "" = as found
  std::string out;       // a file that ends in .gguf, or a folder; "" = model.gguf in `folder`
  std::string type;      // of the matrices: auto, f32, f16, bf16
  std::string quantize;  // "q8_0", "q4_k_m", ...: by mlos-quantize; "" = not at all
  bool explain = false;
  bool json = false;
};

// The exit status. Errors are told.
int RunConvertGguf(Context& context, const ConvertGguf& verb);

}  // namespace mlos::axon
