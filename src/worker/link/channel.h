// SPDX-License-Identifier: Apache-2.0
// Messages over the control socket: splits long ones into packets and puts them together again.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "os/local_socket.h"
#include "worker/link/messages.h"

namespace mlos::worker {

// Send is thread-safe; Receive is for one thread.
class Channel {
 public:
  explicit Channel(os::LocalSocket socket) : socket_(std::move(socket)) {}

  // With `wait` false a full socket is kUnavailable, and the message must fit into one packet. kFailedPrecondition when the
  // other side is gone.
  Status Send(MessageType type, uint64_t id, std::span<const std::byte> payload, bool wait,
              std::span<const int> files = {});
  template <typename T>
  Status SendMessage(const T& message, bool wait = true, std::span<const int> files = {}) {
    return Send(T::kType, 0, Pack(message), wait, files);
  }

  struct Incoming {
    MessageHeader header;
    std::span<const std::byte> payload;  // valid until the next Receive
    std::vector<os::Descriptor> files;
    std::string_view text() const { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
  };
  // With `wait` false kUnavailable when no whole message is there. kInvalidArgument for what is no message.
  Result<Incoming> Receive(bool wait);

  int fd() const { return socket_.fd(); }

 private:
  const os::LocalSocket socket_;
  Mutex send_mu_;  // keeps the packets of one message together
  // Of Receive.
  const std::unique_ptr<std::array<std::byte, os::kMaxSocketMessage>> packet_ =
      std::make_unique<std::array<std::byte, os::kMaxSocketMessage>>();
  std::vector<std::byte> parts_;
  std::vector<std::byte> whole_;
  std::vector<os::Descriptor> files_;
};

}  // namespace mlos::worker
