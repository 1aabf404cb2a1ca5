// SPDX-License-Identifier: Apache-2.0
#include "plugin/call_table.h"

#include <utility>

#include "plugin/call.h"

namespace mlos::plugin {
namespace {

constexpr size_t kRetiredKept = 64;

}  // namespace

CallTable& CallTable::Process() {
  // Never destroyed: a plugin's thread may outlive static objects.
  static auto& table = *new CallTable();
  return table;
}

uint64_t CallTable::Add(Entry entry) {
  const uint64_t id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
  Shard& shard = ShardOf(id);
  MutexLock lock(shard.mu);
  shard.entries.emplace(id, std::move(entry));
  return id;
}

CallTable::Entry CallTable::Find(uint64_t id) {
  Shard& shard = ShardOf(id);
  MutexLock lock(shard.mu);
  const auto it = shard.entries.find(id);
  return it == shard.entries.end() ? Entry() : it->second;
}

void CallTable::Retire(uint64_t id) {
  std::shared_ptr<Call> last;  // outlives the lock: a call's destructor may be long
  Shard& shard = ShardOf(id);
  MutexLock lock(shard.mu);
  const auto it = shard.entries.find(id);
  if (it == shard.entries.end() || it->second.call == nullptr) return;
  last = std::move(it->second.call);
  shard.retired.push_back(id);
  if (shard.retired.size() > kRetiredKept) {
    shard.entries.erase(shard.retired.front());
    shard.retired.pop_front();
  }
}

}  // namespace mlos::plugin
