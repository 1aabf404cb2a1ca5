// SPDX-License-Identifier: Apache-2.0
#include "serving/batch.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <string_view>

namespace mlos::serving {
namespace {

class Hash {
 public:
  void Add(uint64_t value) {
    // splitmix64's finisher over a running sum.
    state_ += value + 0x9E3779B97F4A7C15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    state_ = z ^ (z >> 31);
  }
  void Add(std::string_view text) {
    Add(text.size());
    for (const char c : text) Add(static_cast<unsigned char>(c));
  }
  // Never 0, which means alone.
  uint64_t value() const { return state_ | 1; }

 private:
  uint64_t state_ = 0;
};

bool HasBytes(const std::vector<TensorSpec>& specs) {
  return std::ranges::find(specs, DType::kBytes, &TensorSpec::dtype) != specs.end();
}

// Dimension 0 of all inputs; 0 when they differ or one has none.
int64_t CommonRows(const std::vector<NamedTensor>& inputs) {
  int64_t rows = 0;
  for (const NamedTensor& input : inputs) {
    const Shape& shape = input.tensor.shape();
    if (shape.empty() || shape[0] < 1 || (rows != 0 && shape[0] != rows)) return 0;
    rows = shape[0];
  }
  return rows;
}

bool SameRow(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape().size() == b.shape().size() &&
         std::equal(a.shape().begin() + 1, a.shape().end(), b.shape().begin() + 1);
}

}  // namespace

BatchKey BatchKeyOf(const ModelInterface& model, const Request& request, uint64_t salt) {
  BatchKey out;
  uint64_t elements = 0;
  for (const NamedTensor& input : request.inputs)
    elements += static_cast<uint64_t>(input.tensor.element_count());
  out.row_elements = std::max<uint64_t>(elements, 1);
  const bool batches =
      model.executes && model.batch_dimension == 0 && !HasBytes(model.inputs) && !HasBytes(model.outputs);
  const int64_t rows = batches ? CommonRows(request.inputs) : 0;
  if (rows < 1 || rows > std::numeric_limits<int32_t>::max()) return out;
  out.rows = static_cast<uint32_t>(rows);
  out.row_elements = std::max<uint64_t>(elements / static_cast<uint64_t>(rows), 1);
  Hash hash;
  hash.Add(salt);
  hash.Add(request.n_threads);
  for (const NamedTensor& input : request.inputs) {
    hash.Add(input.name);
    hash.Add(static_cast<uint64_t>(input.tensor.dtype()));
    for (size_t i = 1; i < input.tensor.shape().size(); ++i)
      hash.Add(static_cast<uint64_t>(input.tensor.shape()[i]));
  }
  for (const std::string& output : request.outputs) hash.Add(output);
  out.group = hash.value();
  return out;
}

Result<std::vector<NamedTensor>> JoinInputs(std::span<const Request* const> requests,
                                            const std::shared_ptr<TensorArena>& arena) {
  std::vector<NamedTensor> out;
  const std::vector<NamedTensor>& first = requests.front()->inputs;
  for (size_t i = 0; i < first.size(); ++i) {
    Shape shape = first[i].tensor.shape();
    shape[0] = 0;
    for (const Request* request : requests) {
      const bool same = request->inputs.size() == first.size() && request->inputs[i].name == first[i].name &&
                        SameRow(request->inputs[i].tensor, first[i].tensor);
      if (!same) return Internal("requests that differ were batched");
      shape[0] += request->inputs[i].tensor.shape()[0];
    }
    MLOS_ASSIGN_OR_RETURN(Tensor joined, Tensor::Allocate(first[i].tensor.dtype(), std::move(shape), arena));
    std::byte* at = joined.data().data();
    for (const Request* request : requests) {
      const std::span<const std::byte> bytes = request->inputs[i].tensor.data();
      if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
      at += bytes.size();
    }
    out.push_back({first[i].name, std::move(joined)});
  }
  return out;
}

Result<std::vector<std::vector<NamedTensor>>> SplitOutputs(const std::vector<NamedTensor>& outputs,
                                                           std::span<const uint32_t> rows) {
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  std::vector<std::vector<NamedTensor>> out(rows.size());
  for (const NamedTensor& output : outputs) {
    const Shape& shape = output.tensor.shape();
    if (output.tensor.dtype() == DType::kBytes || shape.empty() || shape[0] != total || total == 0) {
      return Internal("output '" + output.name + "' has shape " + ShapeToString(shape) + " for " +
                      std::to_string(total) + " rows of input");
    }
    const size_t row_bytes = output.tensor.data().size() / static_cast<size_t>(total);
    size_t at = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      Shape part = shape;
      part[0] = rows[i];
      const std::span<const std::byte> bytes = output.tensor.data().subspan(at, rows[i] * row_bytes);
      MLOS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Copy(output.tensor.dtype(), std::move(part), bytes));
      out[i].push_back({output.name, std::move(tensor)});
      at += bytes.size();
    }
  }
  return out;
}

}  // namespace mlos::serving
