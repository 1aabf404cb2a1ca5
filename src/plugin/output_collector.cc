// SPDX-License-Identifier: Apache-2.0
#include "plugin/output_collector.h"

#include <algorithm>

#include "base/checked.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

constexpr uint32_t kMaxRank = 64;

std::string Quoted(const TensorSpec& spec) { return "output '" + spec.name + "'"; }

// The bytes that dtype and shape ask for are there. What the model declares is checked elsewhere.
Result<TensorView> ViewOf(const smi_tensor& tensor) {
  const std::string name = "output '" + std::string(View(tensor.name).substr(0, 256)) + "'";
  if (tensor.memory != SMI_MEMORY_HOST) return Internal(name + " is not in host memory");
  if (tensor.rank > kMaxRank || (tensor.rank > 0 && tensor.shape == nullptr)) {
    return Internal(name + " has no shape, or one of rank " + std::to_string(tensor.rank));
  }
  if (tensor.dtype <= SMI_DTYPE_INVALID || tensor.dtype > SMI_BYTES) {
    return Internal(name + " has the unknown dtype " + std::to_string(tensor.dtype));
  }
  if (tensor.size_bytes > 0 && tensor.data == nullptr) return Internal(name + " has no data");
  TensorView view;
  view.dtype = static_cast<DType>(tensor.dtype);
  view.shape = {tensor.shape, tensor.rank};
  view.data = {static_cast<const std::byte*>(tensor.data), tensor.size_bytes};
  if (view.dtype == DType::kBytes) {
    const Status decoded = DecodeStrings(view).status();
    if (!decoded.ok()) return Internal(name + ": " + decoded.message());
    return view;
  }
  const Result<size_t> bytes = TensorBytes(view.dtype, view.shape);
  if (!bytes.ok()) return Internal(name + ": " + bytes.status().message());
  if (*bytes != tensor.size_bytes) {
    return Internal(name + " of shape " + ShapeToString(view.shape) + " has " + std::to_string(*bytes) +
                    " bytes, but the plugin says " + std::to_string(tensor.size_bytes));
  }
  return view;
}

Status CheckDeclared(const TensorSpec& spec, const TensorView& view) {
  const bool fits = view.dtype == spec.dtype &&
                    std::ranges::equal(spec.shape, view.shape,
                                       [](int64_t want, int64_t got) { return want < 0 || want == got; });
  if (fits) return OkStatus();
  return Internal(Quoted(spec) + " is declared as " + SpecToString(spec) + ", but came as " +
                  std::string(DTypeName(view.dtype)) + " " + ShapeToString(view.shape));
}

}  // namespace

OutputCollector::OutputCollector(const ModelInterface& interface, const std::vector<std::string>& wanted,
                                 std::shared_ptr<TensorArena> arena)
    : arena_(std::move(arena)) {
  if (wanted.empty()) {
    for (const TensorSpec& spec : interface.outputs) slots_.push_back({&spec});
  }
  for (const std::string& name : wanted) slots_.push_back({interface.FindOutput(name)});
}

OutputCollector::Slot* OutputCollector::Find(std::string_view name) {
  const auto it = std::ranges::find_if(slots_, [&](const Slot& slot) { return slot.spec->name == name; });
  return it == slots_.end() ? nullptr : &*it;
}

void* OutputCollector::Reserve(std::string_view name, uint64_t size_bytes) {
  Slot* slot = Find(name);
  if (slot == nullptr || slot->reserved || slot->tensor || slot->parts > 0) return nullptr;
  const size_t element = DTypeSize(slot->spec->dtype);
  if (element == 0 || size_bytes % element != 0) return nullptr;
  const auto count = CheckedCast<int64_t>(size_bytes / element);
  if (!count) return nullptr;
  Result<Tensor> tensor = Tensor::Allocate(slot->spec->dtype, {*count}, arena_);
  if (!tensor.ok()) return nullptr;
  slot->reserved = std::move(tensor).value();
  return slot->reserved->data().data();
}

Status OutputCollector::Take(const smi_tensor* tensor, uint32_t part) {
  if (tensor == nullptr || !SMI_HAS(tensor, smi_tensor, size_bytes)) {
    return Internal("an output is missing, or smaller than SMI 1.0's struct");
  }
  const std::string_view name = View(tensor->name);
  Slot* slot = Find(name);
  if (slot == nullptr) return Internal("output '" + std::string(name.substr(0, 256)) + "' was not asked for");
  if (slot->tensor) return Internal(Quoted(*slot->spec) + " came twice");
  MLOS_ASSIGN_OR_RETURN(const TensorView view, ViewOf(*tensor));
  if (part != 0) return TakePart(*slot, view, part);
  if (slot->parts > 0) return Internal(Quoted(*slot->spec) + " came whole after a part of it");
  const bool reserved = slot->reserved && view.data.data() == slot->reserved->data().data();
  return TakeWhole(*slot, view, reserved);
}

Status OutputCollector::TakeWhole(Slot& slot, TensorView view, bool reserved) {
  MLOS_RETURN_IF_ERROR(CheckDeclared(*slot.spec, view));
  Shape shape(view.shape.begin(), view.shape.end());
  if (reserved && slot.reserved->data().size() == view.data.size()) {
    MLOS_RETURN_IF_ERROR(slot.reserved->Reshape(std::move(shape)));
    slot.tensor = std::move(slot.reserved);
    slot.reserved.reset();
    return OkStatus();
  }
  if (reserved && slot.reserved->data().size() < view.data.size()) {
    return Internal(Quoted(*slot.spec) + " is larger than the memory that was reserved for it");
  }
  MLOS_ASSIGN_OR_RETURN(slot.tensor, Tensor::Copy(view.dtype, std::move(shape), view.data, arena_));
  return OkStatus();
}

Status OutputCollector::TakePart(Slot& slot, TensorView view, uint32_t part) {
  if ((part & ~SMI_PART_LAST) != slot.parts + 1) {
    return Internal(Quoted(*slot.spec) + ": part " + std::to_string(part & ~SMI_PART_LAST) +
                    " came after part " + std::to_string(slot.parts));
  }
  if (view.shape.empty()) return Internal(Quoted(*slot.spec) + ": a scalar cannot come in parts");
  Shape shape(view.shape.begin(), view.shape.end());
  if (slot.parts == 0) {
    slot.part_shape = shape;
  } else {
    const auto rows = CheckedAdd<int64_t>(slot.part_shape[0], shape[0]);
    if (!rows ||
        !std::equal(shape.begin() + 1, shape.end(), slot.part_shape.begin() + 1, slot.part_shape.end())) {
      return Internal(Quoted(*slot.spec) + ": parts of shapes that do not go together");
    }
    slot.part_shape[0] = *rows;
  }
  ++slot.parts;
  slot.part_bytes.insert(slot.part_bytes.end(), view.data.begin(), view.data.end());
  if ((part & SMI_PART_LAST) == 0)
    return view.dtype == slot.spec->dtype ? OkStatus() : CheckDeclared(*slot.spec, view);
  return TakeWhole(slot, {view.dtype, slot.part_shape, slot.part_bytes}, false);
}

Result<std::vector<NamedTensor>> OutputCollector::Finish() {
  std::vector<NamedTensor> out;
  out.reserve(slots_.size());
  for (Slot& slot : slots_) {
    if (!slot.tensor) return Internal(Quoted(*slot.spec) + " did not come");
    out.push_back({slot.spec->name, std::move(*slot.tensor)});
  }
  return out;
}

}  // namespace mlos::plugin
