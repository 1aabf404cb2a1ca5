// SPDX-License-Identifier: Apache-2.0
// Requests that were running when their worker died. One that was there twice is refused from then on; one that is answered is
// cleared of the suspicion, so that a request which stood beside a deadly one comes free.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "infer/request.h"

namespace mlos::plugin {

// Of everything that the plugin sees. 128 bits, not for secrets.
struct RequestDigest {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const RequestDigest&) const = default;
};
RequestDigest DigestOf(const Request& request);

// Thread-safe.
class Quarantine {
 public:
  static constexpr uint32_t kLives = 2;
  // Beyond that the one that was blamed longest ago is forgotten.
  static constexpr size_t kMost = 1024;

  // False as long as nothing was ever blamed: then no digest need be made.
  bool active() const { return active_.load(std::memory_order_relaxed); }
  // Why the last worker died, when the request must not run.
  std::optional<std::string> Refusal(const RequestDigest& digest);
  // The request was running when its worker died.
  void Blame(const RequestDigest& digest, const std::string& death);
  // The request was answered.
  void Clear(const RequestDigest& digest);
  size_t size();

 private:
  struct Suspect {
    RequestDigest digest;
    uint32_t deaths = 0;
    std::string last_death;
  };
  std::list<Suspect>::iterator Find(const RequestDigest& digest) MLOS_REQUIRES(mu_);

  std::atomic<bool> active_{false};
  Mutex mu_;
  std::list<Suspect> suspects_ MLOS_GUARDED_BY(mu_);  // the last blamed first
};

}  // namespace mlos::plugin
