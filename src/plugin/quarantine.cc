// SPDX-License-Identifier: Apache-2.0
#include "plugin/quarantine.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

namespace mlos::plugin {
namespace {

// Two multiply-and-fold lanes over 16 bytes at a time.
class Digester {
 public:
  void Bytes(std::span<const std::byte> bytes) {
    Value(bytes.size());
    while (bytes.size() >= 16) {
      uint64_t words[2];
      std::memcpy(words, bytes.data(), sizeof words);
      Mix(words[0], words[1]);
      bytes = bytes.subspan(16);
    }
    uint64_t words[2] = {0, 0};
    if (!bytes.empty()) std::memcpy(words, bytes.data(), bytes.size());
    Mix(words[0], words[1]);
  }
  void Text(std::string_view text) { Bytes(std::as_bytes(std::span(text))); }
  void Value(uint64_t value) { Mix(value, 0x51ED2701A5B6C7D8U); }
  RequestDigest digest() const { return digest_; }

 private:
  __extension__ using Product = unsigned __int128;
  static uint64_t Fold(uint64_t a, uint64_t b) {
    const Product product = static_cast<Product>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  void Mix(uint64_t a, uint64_t b) {
    digest_.high = Fold(digest_.high ^ a ^ 0x9E3779B97F4A7C15U, b ^ 0xD6E8FEB86659FD93U) + a;
    digest_.low = Fold(digest_.low ^ b ^ 0xA0761D6478BD642FU, a ^ 0xE7037ED1A0B428DBU) + b;
    digest_.low ^= digest_.high >> 29;
  }
  RequestDigest digest_{0x243F6A8885A308D3U, 0x13198A2E03707344U};
};

}  // namespace

RequestDigest DigestOf(const Request& request) {
  Digester d;
  for (const NamedTensor& input : request.inputs) {
    d.Text(input.name);
    d.Value(static_cast<uint64_t>(input.tensor.dtype()));
    for (const int64_t dim : input.tensor.shape()) d.Value(static_cast<uint64_t>(dim));
    d.Bytes(input.tensor.data());
  }
  for (const std::string& name : request.outputs) d.Text(name);
  if (const auto& g = request.generation) {
    d.Text(g->prompt);
    for (const ChatMessage& m : g->messages) {
      d.Text(m.role);
      d.Text(m.content);
    }
    for (const std::string& stop : g->stop) d.Text(stop);
    d.Value(g->max_tokens);
  }
  return d.digest();
}

std::list<Quarantine::Suspect>::iterator Quarantine::Find(const RequestDigest& digest) {
  return std::ranges::find(suspects_, digest, &Suspect::digest);
}

std::optional<std::string> Quarantine::Refusal(const RequestDigest& digest) {
  MutexLock lock(mu_);
  const auto it = Find(digest);
  if (it == suspects_.end() || it->deaths < kLives) return std::nullopt;
  return it->last_death;
}

void Quarantine::Blame(const RequestDigest& digest, const std::string& death) {
  MutexLock lock(mu_);
  auto it = Find(digest);
  if (it == suspects_.end()) it = suspects_.insert(suspects_.begin(), {digest, 0, {}});
  ++it->deaths;
  it->last_death = death;
  suspects_.splice(suspects_.begin(), suspects_, it);
  if (suspects_.size() > kMost) suspects_.pop_back();
  active_.store(true);
}

void Quarantine::Clear(const RequestDigest& digest) {
  MutexLock lock(mu_);
  if (const auto it = Find(digest); it != suspects_.end()) suspects_.erase(it);
  if (suspects_.empty()) active_.store(false);
}

size_t Quarantine::size() {
  MutexLock lock(mu_);
  return suspects_.size();
}

}  // namespace mlos::plugin
