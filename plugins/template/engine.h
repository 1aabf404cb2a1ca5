// SPDX-License-Identifier: Apache-2.0
// The "engine" of the template: it multiplies. CHANGE: this file and engine.cc are what yours replaces.
//
// A model is a text file:
//   template 1
//   factor 2.5
#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace mlos_template {

struct MissingFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct DamagedFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Engine {
 public:
  // Throws MissingFile or DamagedFile.
  explicit Engine(const std::string& path);
  // y = x * factor. Looks at `stop` now and then; false when it was set.
  bool Run(const float* x, std::vector<float>* y, const std::atomic<bool>& stop) const;

 private:
  float factor_ = 0;
};

}  // namespace mlos_template
