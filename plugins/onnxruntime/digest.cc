// SPDX-License-Identifier: Apache-2.0
#include "digest.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mlos_ort {
namespace {

static_assert(std::endian::native == std::endian::little, "the words are read as they lie");

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

template <typename T>
T Read(const std::byte* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}

uint64_t Round(uint64_t lane, uint64_t word) { return std::rotl(lane + word * kPrime2, 31) * kPrime1; }

uint64_t Merge(uint64_t hash, uint64_t lane) { return (hash ^ Round(0, lane)) * kPrime1 + kPrime4; }

uint64_t AddTail(uint64_t hash, const std::byte* at, size_t size) {
  for (; size >= 8; at += 8, size -= 8) {
    hash = std::rotl(hash ^ Round(0, Read<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  for (; size >= 4; at += 4, size -= 4) {
    hash = std::rotl(hash ^ (Read<uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
  }
  for (; size > 0; ++at, --size) {
    hash = std::rotl(hash ^ (static_cast<uint64_t>(*at) * kPrime5), 11) * kPrime1;
  }
  return hash;
}

}  // namespace

Digest::Digest(uint64_t seed)
    : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Digest::Stripe(const std::byte* at) {
  for (size_t i = 0; i < lanes_.size(); ++i) lanes_[i] = Round(lanes_[i], Read<uint64_t>(at + 8 * i));
}

void Digest::Add(std::span<const std::byte> bytes) {
  const size_t held = size_ % kStripe;
  size_ += bytes.size();
  if (held > 0) {
    const size_t taken = std::min(kStripe - held, bytes.size());
    std::copy_n(bytes.begin(), taken, rest_.begin() + held);
    bytes = bytes.subspan(taken);
    if (held + taken < kStripe) return;
    Stripe(rest_.data());
  }
  for (; bytes.size() >= kStripe; bytes = bytes.subspan(kStripe)) Stripe(bytes.data());
  std::copy(bytes.begin(), bytes.end(), rest_.begin());
}

uint64_t Digest::value() const {
  uint64_t hash = seed_ + kPrime5;
  if (size_ >= kStripe) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
           std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) hash = Merge(hash, lane);
  }
  hash = AddTail(hash + size_, rest_.data(), size_ % kStripe);
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace mlos_ort
