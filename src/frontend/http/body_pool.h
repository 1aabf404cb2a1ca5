// SPDX-License-Identifier: Apache-2.0
// Memory for request bodies, not zeroed, kept for the next request: fresh pages cost more than reading the bytes into them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace mlos::frontend {

struct BodyBuffer {
  std::unique_ptr<char[]> data;
  size_t capacity = 0;
};

// Not thread-safe: one an I/O thread.
class BodyPool {
 public:
  // At least `bytes`, uninitialised.
  BodyBuffer Take(size_t bytes) {
    for (size_t i = 0; i < free_.size(); ++i) {
      if (free_[i].capacity < bytes) continue;
      BodyBuffer out = std::move(free_[i]);
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
      kept_bytes_ -= out.capacity;
      return out;
    }
    const size_t capacity = (bytes + kGranule - 1) / kGranule * kGranule;
    return {std::make_unique_for_overwrite<char[]>(capacity), capacity};
  }

  void Give(BodyBuffer buffer) {
    if (buffer.capacity == 0 || kept_bytes_ + buffer.capacity > kMaxKeptBytes) return;
    kept_bytes_ += buffer.capacity;
    free_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kGranule = size_t{64} << 10;
  static constexpr size_t kMaxKeptBytes = size_t{8} << 20;

  std::vector<BodyBuffer> free_;
  size_t kept_bytes_ = 0;
};

}  // namespace mlos::frontend
