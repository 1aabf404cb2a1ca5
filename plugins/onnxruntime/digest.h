// SPDX-License-Identifier: Apache-2.0
// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): finds accidental damage at the speed of memory. No defence against
// somebody who writes the files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mlos_ort {

class Digest {
 public:
  explicit Digest(uint64_t seed = 0);
  void Add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  static constexpr size_t kStripe = 32;
  void Stripe(const std::byte* at);

  uint64_t seed_;
  uint64_t size_ = 0;
  std::array<uint64_t, 4> lanes_;
  std::array<std::byte, kStripe> rest_{};  // size_ % kStripe bytes
};

}  // namespace mlos_ort
