// SPDX-License-Identifier: Apache-2.0
// Running calls by number. Plugins get the number as their sink's ctx, so that one that calls a sink again after done()
// reaches nothing, instead of memory that is someone else's by then.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>

#include "base/mutex.h"

namespace mlos::plugin {

class Call;
class PluginLog;

// Thread-safe.
class CallTable {
 public:
  struct Entry {
    std::shared_ptr<Call> call;            // null when the call is over
    std::shared_ptr<const PluginLog> log;  // null too when it was over long ago, or never was
  };

  // Of this process: sink functions get nothing but a number.
  static CallTable& Process();

  uint64_t Add(Entry entry);
  Entry Find(uint64_t id);
  // The call is over. Where to log is kept for a while.
  void Retire(uint64_t id);

  static void* ToContext(uint64_t id) { return reinterpret_cast<void*>(static_cast<uintptr_t>(id)); }
  static uint64_t FromContext(const void* ctx) {
    return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(ctx));
  }

 private:
  // Several locks, because every output and every piece of text looks its call up.
  struct alignas(64) Shard {
    Mutex mu;
    std::unordered_map<uint64_t, Entry> entries MLOS_GUARDED_BY(mu);
    std::deque<uint64_t> retired MLOS_GUARDED_BY(mu);
  };
  Shard& ShardOf(uint64_t id) { return shards_[id % shards_.size()]; }

  std::atomic<uint64_t> last_id_{0};
  std::array<Shard, 16> shards_;
};

}  // namespace mlos::plugin
