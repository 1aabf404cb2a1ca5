// SPDX-License-Identifier: Apache-2.0
#include "output_shapes.h"

#include <map>

#include "model.h"

namespace mlos_ort {

OutputShapes::OutputShapes(const std::vector<Port>& inputs, const std::vector<Port>& outputs) {
  std::map<std::string, size_t> symbols;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t d = 0; d < inputs[i].shape.size(); ++d) {
      const std::string& name = inputs[i].dim_names[d];
      if (inputs[i].shape[d] >= 0 || name.empty()) continue;
      sources_.push_back({i, d, symbols.emplace(name, symbols.size()).first->second});
    }
  }
  n_symbols_ = symbols.size();
  for (const Port& output : outputs) {
    std::vector<int64_t>& shape = outputs_.emplace_back(output.shape);
    for (size_t d = 0; d < shape.size(); ++d) {
      if (shape[d] >= 0) continue;
      const auto it = symbols.find(output.dim_names[d]);
      shape[d] = it == symbols.end() ? kUnknown : kSymbol - static_cast<int64_t>(it->second);
    }
  }
}

std::vector<int64_t> OutputShapes::Bind(std::span<const int64_t* const> shapes) const {
  std::vector<int64_t> bound(n_symbols_, -1);
  std::vector<bool> disputed(n_symbols_);
  for (const Source& source : sources_) {
    if (shapes[source.input] == nullptr) continue;
    const int64_t size = shapes[source.input][source.dimension];
    if (bound[source.symbol] >= 0 && bound[source.symbol] != size) disputed[source.symbol] = true;
    bound[source.symbol] = size;
  }
  for (size_t i = 0; i < n_symbols_; ++i) {
    if (disputed[i]) bound[i] = -1;
  }
  return bound;
}

std::optional<std::vector<int64_t>> OutputShapes::Resolve(size_t index,
                                                          const std::vector<int64_t>& bound) const {
  std::vector<int64_t> shape = outputs_[index];
  for (int64_t& dim : shape) {
    if (dim <= kSymbol) dim = bound[static_cast<size_t>(kSymbol - dim)];
    if (dim < 0) return std::nullopt;
  }
  return shape;
}

}  // namespace mlos_ort
