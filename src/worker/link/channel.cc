// SPDX-License-Identifier: Apache-2.0
#include "worker/link/channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mlos::worker {
namespace {

constexpr size_t kPartBytes = os::kMaxSocketMessage - sizeof(MessageHeader);

}  // namespace

Status Channel::Send(MessageType type, uint64_t id, std::span<const std::byte> payload, bool wait,
                     std::span<const int> files) {
  if (payload.size() > (wait ? kMaxMessageBytes : kPartBytes)) {
    return TooLarge("a message of " + std::to_string(payload.size()) + " bytes for a worker");
  }
  std::vector<std::byte> packet(sizeof(MessageHeader) + std::min(payload.size(), kPartBytes));
  MutexLock lock(send_mu_);
  while (true) {
    const std::span<const std::byte> part = payload.first(std::min(payload.size(), kPartBytes));
    payload = payload.subspan(part.size());
    const MessageHeader header = {type, payload.empty() ? 0 : kMoreFollows, id};
    std::memcpy(packet.data(), &header, sizeof header);
    if (!part.empty()) std::memcpy(packet.data() + sizeof header, part.data(), part.size());
    MLOS_RETURN_IF_ERROR(socket_.Send(std::span(packet).first(sizeof header + part.size()), wait, files));
    if (payload.empty()) return OkStatus();
    files = {};
  }
}

Result<Channel::Incoming> Channel::Receive(bool wait) {
  while (true) {
    MLOS_ASSIGN_OR_RETURN(os::LocalSocket::Message message, socket_.Receive(*packet_, wait));
    Incoming in;
    if (message.size_bytes < sizeof in.header) return InvalidArgument("a packet shorter than a header");
    std::memcpy(&in.header, packet_->data(), sizeof in.header);
    const auto part =
        std::span<const std::byte>(*packet_).subspan(sizeof in.header, message.size_bytes - sizeof in.header);
    std::ranges::move(message.files, std::back_inserter(files_));
    const bool more = (in.header.flags & kMoreFollows) != 0;
    if (parts_.size() + part.size() > kMaxMessageBytes || files_.size() > os::kMaxSocketFiles) {
      return InvalidArgument("a message longer than " + std::to_string(kMaxMessageBytes) + " bytes");
    }
    if (!more && parts_.empty()) {
      in.payload = part;
      in.files = std::exchange(files_, {});
      return in;
    }
    parts_.insert(parts_.end(), part.begin(), part.end());
    if (more) continue;
    // Kept in the packet's place until the next call.
    whole_ = std::exchange(parts_, {});
    in.payload = whole_;
    in.files = std::exchange(files_, {});
    return in;
  }
}

}  // namespace mlos::worker
