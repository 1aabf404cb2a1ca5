// SPDX-License-Identifier: Apache-2.0
// Works out the shapes of outputs before the model runs, from the names its free dimensions share with the inputs', so that
// the engine can write into the host's memory. A model may break its own names; the engine then notices.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlos_ort {

struct Port;

// Constant after construction.
class OutputShapes {
 public:
  OutputShapes() = default;
  OutputShapes(const std::vector<Port>& inputs, const std::vector<Port>& outputs);

  // `shapes`: one per input, null where the input is left out; each has the declared rank. Values by symbol; -1 = not
  // known, or two values.
  std::vector<int64_t> Bind(std::span<const int64_t* const> shapes) const;

  // Nothing when the shape of output `index` cannot be known.
  std::optional<std::vector<int64_t>> Resolve(size_t index, const std::vector<int64_t>& bound) const;

 private:
  struct Source {
    size_t input;
    size_t dimension;
    size_t symbol;
  };
  // Of an output's dimension: a size >= 0, or a symbol (kSymbol - number), or kUnknown.
  static constexpr int64_t kUnknown = -1;
  static constexpr int64_t kSymbol = -2;

  size_t n_symbols_ = 0;
  std::vector<Source> sources_;
  std::vector<std::vector<int64_t>> outputs_;
};

}  // namespace mlos_ort
