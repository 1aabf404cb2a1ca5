// SPDX-License-Identifier: Apache-2.0
#include "base/xxh64.h"

#include <array>
#include <bit>
#include <cstring>

namespace mlos {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie");

constexpr uint64_t kP1 = 0x9E3779B185EBCA87;
constexpr uint64_t kP2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kP3 = 0x165667B19E3779F9;
constexpr uint64_t kP4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kP5 = 0x27D4EB2F165667C5;

template <typename Word>
Word Take(std::span<const std::byte>* bytes) {
  Word out;
  std::memcpy(&out, bytes->data(), sizeof out);
  *bytes = bytes->subspan(sizeof out);
  return out;
}

uint64_t Mix(uint64_t lane, uint64_t word) { return std::rotl(lane + word * kP2, 31) * kP1; }

// The hash of all whole stripes of 32 bytes, which are taken away.
uint64_t Stripes(std::span<const std::byte>* bytes, uint64_t seed) {
  if (bytes->size() < 32) return seed + kP5;
  std::array<uint64_t, 4> lanes = {seed + kP1 + kP2, seed + kP2, seed, seed - kP1};
  while (bytes->size() >= 32) {
    for (uint64_t& lane : lanes) lane = Mix(lane, Take<uint64_t>(bytes));
  }
  uint64_t hash =
      std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
  for (const uint64_t lane : lanes) hash = (hash ^ Mix(0, lane)) * kP1 + kP4;
  return hash;
}

}  // namespace

uint64_t Xxh64(std::span<const std::byte> bytes, uint64_t seed) {
  const uint64_t size = bytes.size();
  uint64_t hash = Stripes(&bytes, seed) + size;
  while (bytes.size() >= 8) hash = std::rotl(hash ^ Mix(0, Take<uint64_t>(&bytes)), 27) * kP1 + kP4;
  if (bytes.size() >= 4) hash = std::rotl(hash ^ (Take<uint32_t>(&bytes) * kP1), 23) * kP2 + kP3;
  while (!bytes.empty()) hash = std::rotl(hash ^ (Take<uint8_t>(&bytes) * kP5), 11) * kP1;
  hash = (hash ^ (hash >> 33)) * kP2;
  hash = (hash ^ (hash >> 29)) * kP3;
  return hash ^ (hash >> 32);
}

std::string HexOf(uint64_t word) {
  std::string out(16, '0');
  for (size_t i = out.size(); i-- > 0; word >>= 4) out[i] = "0123456789abcdef"[word & 15];
  return out;
}

}  // namespace mlos
