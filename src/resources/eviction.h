// SPDX-License-Identifier: Apache-2.0
// Who has to go so that something fits: a pure function of a snapshot.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlos::resources {

using LeaseId = uint64_t;  // never reused; 0 = none

// A file that is mapped. Holders that name the same key pay for it once, together.
struct SharedBytes {
  std::string key;
  uint64_t bytes = 0;
};

// What someone asks for. All sizes are upper bounds.
struct Demand {
  std::string who;  // for messages: "hf/bert@v1"
  uint64_t private_bytes = 0;
  std::vector<SharedBytes> shared;
  uint64_t device_bytes = 0;  // told, not limited: there is no budget for accelerators
};

enum class Use {
  kIdle,      // may be evicted
  kBusy,      // has users: never evicted; may be drained
  kPinned,    // never evicted, whatever happens
  kDraining,  // takes no new users, leaves when the last one is done
  kLeaving,   // evicted, its memory comes back any moment
};

// Someone who has memory.
struct Holding {
  LeaseId id = 0;
  std::string who;
  Use use = Use::kBusy;
  uint32_t users = 0;
  int64_t last_used_ns = 0;
  int64_t idle_in_ns = -1;  // prediction of when its users are done; -1 = not known
  uint64_t private_bytes = 0;
  std::vector<SharedBytes> shared;
};

// What all of `holdings` take together; a shared file counts once, by its largest mapping.
uint64_t TotalBytes(std::span<const Holding> holdings);

struct Plan {
  enum class Answer {
    kFits,     // now
    kEvict,    // once `evict` and those that are leaving are gone
    kWait,     // not before a busy one has become idle
    kHopeless  // only pinned ones are in the way, or the demand is larger than the budget
  };
  Answer answer = Answer::kFits;
  std::vector<LeaseId> evict;  // idle, least recently used first; never more than needed
  std::vector<LeaseId> drain;  // kWait: busy ones whose end would make room, first expected first
  uint64_t missing_bytes = 0;  // over what is free now
  int64_t wait_ns = -1;        // kWait: prediction; -1 = not known
};

// How `demand` gets in under `budget_bytes`. `spare` is neither evicted nor drained.
Plan PlanFor(const Demand& demand, uint64_t budget_bytes, std::span<const Holding> holdings,
             std::span<const LeaseId> spare = {});

// "hf/bert@v1 300 MB (2 requests), hf/gpt2@v1 1.2 GB (pinned)": largest first, at most five.
std::string DescribeHoldings(std::span<const Holding> holdings);

}  // namespace mlos::resources
