// SPDX-License-Identifier: Apache-2.0
#include "infer/model_interface.h"

#include <algorithm>

namespace mlos {
namespace {

const TensorSpec* Find(const std::vector<TensorSpec>& specs, std::string_view name) {
  const auto it = std::ranges::find(specs, name, &TensorSpec::name);
  return it == specs.end() ? nullptr : &*it;
}

bool Matches(std::span<const int64_t> declared, std::span<const int64_t> sent) {
  return std::ranges::equal(declared, sent,
                            [](int64_t want, int64_t got) { return want < 0 || want == got; });
}

Status Mismatch(const TensorSpec& spec, std::span<const int64_t> sent) {
  return Unprocessable("input '" + spec.name + "': wanted " + SpecToString(spec) + ", got shape " +
                       ShapeToString(sent));
}

// Flat values: a free leading dimension is the batch and becomes 1; at most one other free dimension is computed.
bool FillFlat(const Shape& declared, int64_t count, Shape* out) {
  *out = declared;
  int64_t known = 1;
  int64_t* free_dim = nullptr;
  if (out->size() > 1 && out->front() < 0) out->front() = 1;
  for (int64_t& dim : *out) {
    if (dim < 0) {
      if (free_dim != nullptr) return false;
      free_dim = &dim;
      continue;
    }
    if (__builtin_mul_overflow(known, dim, &known)) return false;
  }
  if (free_dim == nullptr) return known == count;
  if (known == 0 || count % known != 0) return false;
  *free_dim = count / known;
  return true;
}

}  // namespace

const TensorSpec* ModelInterface::FindInput(std::string_view name) const { return Find(inputs, name); }
const TensorSpec* ModelInterface::FindOutput(std::string_view name) const { return Find(outputs, name); }

Result<Shape> FitShape(const TensorSpec& spec, const Shape& sent) {
  if (Matches(spec.shape, sent)) return sent;
  if (sent.size() + 1 == spec.shape.size() && (spec.shape[0] < 0 || spec.shape[0] == 1)) {
    Shape batched = sent;
    batched.insert(batched.begin(), 1);
    if (Matches(spec.shape, batched)) return batched;
  }
  if (sent.size() == 1) {
    Shape filled;
    if (FillFlat(spec.shape, sent[0], &filled)) return filled;
    // A batch of whole items sent flat: the free leading dimension takes what is left.
    if (!spec.shape.empty() && spec.shape[0] < 0) {
      int64_t item = 1;
      bool fixed = true;
      for (size_t i = 1; i < spec.shape.size(); ++i) {
        fixed = fixed && spec.shape[i] > 0 && !__builtin_mul_overflow(item, spec.shape[i], &item);
      }
      if (fixed && sent[0] % item == 0) {
        filled = spec.shape;
        filled[0] = sent[0] / item;
        return filled;
      }
    }
  }
  return Mismatch(spec, sent);
}

Status CheckTensor(const TensorSpec& spec, const TensorView& tensor) {
  if (tensor.dtype != spec.dtype) {
    return Unprocessable("input '" + spec.name + "': wanted " + SpecToString(spec) + ", got dtype " +
                         std::string(DTypeName(tensor.dtype)));
  }
  if (!Matches(spec.shape, tensor.shape)) return Mismatch(spec, tensor.shape);
  return OkStatus();
}

std::string SpecToString(const TensorSpec& spec) {
  std::string out(DTypeName(spec.dtype));
  out += " [";
  for (size_t i = 0; i < spec.shape.size(); ++i) {
    if (i > 0) out += ", ";
    const bool named = i < spec.dim_names.size() && !spec.dim_names[i].empty();
    if (spec.shape[i] >= 0) {
      out += std::to_string(spec.shape[i]);
    } else {
      out += named ? spec.dim_names[i] : "?";
    }
  }
  return out + "]";
}

}  // namespace mlos
