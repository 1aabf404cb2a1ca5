// SPDX-License-Identifier: Apache-2.0
// A pair of connected sockets between two processes of this machine that keeps the borders of messages and carries open
// files (Unix domain, SOCK_SEQPACKET).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "os/descriptor.h"

namespace mlos::os {

// Longest message that is sent or received.
inline constexpr size_t kMaxSocketMessage = 65536;
// Most open files that come with one message.
inline constexpr size_t kMaxSocketFiles = 8;

// Send and Receive may be called by several threads; messages stay whole.
class LocalSocket {
 public:
  static Result<std::pair<LocalSocket, LocalSocket>> Pair();
  LocalSocket() = default;
  explicit LocalSocket(Descriptor fd) : fd_(std::move(fd)) {}

  // All of it or nothing. With `wait` false a full socket is kUnavailable; a peer that is gone is kFailedPrecondition.
  Status Send(std::span<const std::byte> message, bool wait, std::span<const int> files = {}) const;

  struct Message {
    size_t size_bytes = 0;
    std::vector<Descriptor> files;
  };
  // Waits for a message, into `buffer` (of kMaxSocketMessage bytes). kFailedPrecondition when the peer is gone; with `wait`
  // false kUnavailable when there is none. kDataLoss for a message that is longer.
  Result<Message> Receive(std::span<std::byte> buffer, bool wait) const;

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  void Close() { fd_.Close(); }

 private:
  Descriptor fd_;
};

// Sleeps until one of `fds` can be read (or its peer is gone), at most `timeout_ms` (negative: no limit). Answers which, as a
// bit for each; 0 for none. Invalid descriptors (-1) are passed over.
uint32_t WaitReadable(std::span<const int> fds, int timeout_ms);

// A counter that one thread raises to wake another from WaitReadable. Thread-safe.
class WakeEvent {
 public:
  static Result<WakeEvent> Create();
  void Set() const;
  void Clear() const;
  int fd() const { return fd_.get(); }

 private:
  explicit WakeEvent(Descriptor fd) : fd_(std::move(fd)) {}
  Descriptor fd_;
};

}  // namespace mlos::os
