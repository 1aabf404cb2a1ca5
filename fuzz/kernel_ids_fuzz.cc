// SPDX-License-Identifier: Apache-2.0
// The table of ids against a map.
#include "kernel_core.h"

extern "C" {
#include "idtable.h"
}
#undef min
#undef max

namespace {

constexpr uint32_t kLimit = 20;
using Model = std::map<uint64_t, mlos_idnode*>;

void Collect(mlos_idnode* node, void* out) { MUST(static_cast<Model*>(out)->emplace(node->id, node).second); }

void CheckAll(const mlos_idtable& table, const Model& model, uint64_t probe) {
  Model seen;
  mlos_idtable_each(&table, Collect, &seen);
  MUST(seen == model && table.count == model.size());
  for (const auto& [id, node] : model) MUST(mlos_idtable_find(&table, id) == node);
  const auto at = model.find(probe);
  MUST(mlos_idtable_find(&table, probe) == (at == model.end() ? nullptr : at->second));
  MUST(mlos_idtable_find(&table, 0) == nullptr);
  mlos_idnode* any = mlos_idtable_any(&table);
  MUST(model.empty() ? any == nullptr : model.at(any->id) == any);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos::fuzz::Steps steps(data, size);
  mlos_idtable table;
  MUST(mlos_idtable_init(&table, kLimit) == 0);
  std::vector<mlos_idnode> nodes(32);
  Model model;
  while (!steps.Done()) {
    mlos_idnode* node = &nodes[steps.Below(32)];
    const uint64_t id = steps.Below(2) ? steps.Below(64) * 16 + 1 : steps.Number();
    if (steps.Below(3) && node->id == 0) {
      if (id == 0 || model.count(id)) continue;  // the caller's part
      const int ret = mlos_idtable_add(&table, node, id);
      MUST(ret == (model.size() < kLimit ? 0 : -ENOSPC));
      if (ret == 0) model[id] = node;
    } else if (node->id) {
      model.erase(node->id);
      mlos_idtable_remove(&table, node);
      MUST(node->id == 0);
    }
    CheckAll(table, model, id);
  }
  while (mlos_idnode* node = mlos_idtable_any(&table)) mlos_idtable_remove(&table, node);
  mlos_idtable_destroy(&table);
  return 0;
}
