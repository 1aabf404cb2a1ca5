// SPDX-License-Identifier: Apache-2.0
#include "frontend/common/request_id.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>

namespace mlos::frontend {
namespace {

constexpr size_t kMaxIdBytes = 128;

bool IsIdByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._:/+=@-").find(c) != std::string_view::npos;
}

uint64_t RandomStart() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

bool IsSaneRequestId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && std::ranges::all_of(id, IsIdByte);
}

void NewRequestId(std::string* out) {
  static std::atomic<uint64_t> next{RandomStart()};
  // An odd multiplier permutes the 64-bit numbers: ids do not repeat, and do not look alike.
  uint64_t id = next.fetch_add(1, std::memory_order_relaxed) * 0x9E3779B97F4A7C15;
  static constexpr char kHex[] = "0123456789abcdef";
  out->resize(16);
  for (char& c : *out) {
    c = kHex[id >> 60];
    id <<= 4;
  }
}

}  // namespace mlos::frontend
