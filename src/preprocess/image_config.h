// SPDX-License-Identifier: Apache-2.0
// preprocessor_config.json of a Hugging Face repository: how a picture becomes pixel_values. Only what the file states is read; what it
// leaves out is up to the class in `processor`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::preprocess {

inline constexpr char kImageConfigFile[] = "preprocessor_config.json";

struct ImageConfig {
  std::string processor;  // class name, "ViTImageProcessor"
  // "exact": size is [height, width]; "shortest_edge": size is [edge] or [edge, most of the longer one]; "number": the same as the
  // processor's class understands a single number; "": not stated, or not resized.
  std::string resize;
  std::vector<int64_t> size;
  std::string resample;       // nearest, lanczos, bilinear, bicubic, box, hamming; "" = not stated
  std::vector<int64_t> crop;  // [height, width] around the middle; empty = none stated
  double rescale = 0;         // factor for bytes; 0 = none stated
  std::vector<double> mean;   // a channel; empty = none stated
  std::vector<double> std;

  bool operator==(const ImageConfig&) const = default;
};

// kNotFound when there is no such file, kDataLoss when it says something that no processor understands.
Result<ImageConfig> ReadImageConfig(const std::filesystem::path& package_dir);
Result<ImageConfig> ParseImageConfig(std::string_view json);

}  // namespace mlos::preprocess
