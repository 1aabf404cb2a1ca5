// SPDX-License-Identifier: Apache-2.0
// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of bytes that lie together: finds accidental damage at the speed of
// memory. No defence against somebody who chooses the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mlos {

uint64_t Xxh64(std::span<const std::byte> bytes, uint64_t seed = 0);
inline uint64_t Xxh64(std::string_view text, uint64_t seed = 0) {
  return Xxh64(std::as_bytes(std::span(text)), seed);
}

// 16 hexadecimal digits.
std::string HexOf(uint64_t word);

}  // namespace mlos
