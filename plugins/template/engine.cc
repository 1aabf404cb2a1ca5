// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <algorithm>
#include <fstream>

namespace mlos_template {

Engine::Engine(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw MissingFile("cannot open " + path);
  std::string format;
  std::string key;
  int version = 0;
  file >> format >> version >> key >> factor_;
  if (!file || format != "template" || version != 1 || key != "factor") {
    throw DamagedFile(path + " is no template model: wanted 'template 1' and then 'factor NUMBER'");
  }
}

bool Engine::Run(const float* x, std::vector<float>* y, const std::atomic<bool>& stop) const {
  constexpr size_t kBetweenLooks = 1 << 16;
  for (size_t i = 0; i < y->size();) {
    if (stop.load()) return false;
    for (const size_t end = std::min(y->size(), i + kBetweenLooks); i < end; ++i) (*y)[i] = x[i] * factor_;
  }
  return !stop.load();
}

}  // namespace mlos_template
