// SPDX-License-Identifier: Apache-2.0
// Waiting a moment for the next batch to fill.
//
// Clients that send their next request when they have their answer come back together after a batch. The first of them to
// arrive would start alone, and the others would wait for it: half of the batches would be of one. So when a batch that paid has
// ended, its group may hold back until as many wait as it had members, for a quarter of what the batch saved and a sixteenth of
// its time at most. Where nobody comes back in time the group loses that right, for a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace mlos::sched {

// A batch that has ended, and what there is of its group just now.
struct EndedBatch {
  uint64_t group = 0;
  size_t members = 0;   // of the batch
  int64_t hold_ns = 0;  // HoldNs() of it
  size_t waiting = 0;   // of the group
  size_t running = 0;   // of the group, in other executions
  int slots = 1;        // of the machine
};

// Not thread-safe. Holds at most one group at a time.
class Gathering {
 public:
  // How long a batch of so many runs may make its group wait: `alone_ns` is what its members take one by one, `batch_ns` together.
  static int64_t HoldNs(int64_t alone_ns, int64_t batch_ns);

  void Ended(const EndedBatch& batch, int64_t now_ns);
  // Whether `waiting` requests of the group should wait for others to come.
  bool Holds(uint64_t group, size_t waiting, int64_t now_ns) const;
  // Until when something is held; 0 = nothing is.
  int64_t UntilNs(int64_t now_ns) const { return group_ != 0 && now_ns < until_ns_ ? until_ns_ : 0; }
  // An execution of the group starts while so many of it wait.
  void Started(uint64_t group, size_t waiting);

 private:
  static constexpr size_t kMaxGroups = 256;

  uint64_t group_ = 0;  // 0 = nothing is held
  size_t found_ = 0;    // requests that waited when the batch ended
  size_t wanted_ = 0;
  int64_t until_ns_ = 0;
  // By group: how many holds in a row were, or were not, worth it; see the .cc.
  std::unordered_map<uint64_t, int> credit_;
};

}  // namespace mlos::sched
