// SPDX-License-Identifier: Apache-2.0
#include "os/local_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>

namespace mlos::os {
namespace {

Status Failed(const char* call, int error) {
  const std::string text = std::string(call) + ": " + std::generic_category().message(error);
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
      return Unavailable(text);
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return FailedPrecondition("the other side is gone (" + text + ")");
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
      return ResourceExhausted(text);
    default:
      return Internal(text);
  }
}

using ControlBuffer = std::array<char, CMSG_SPACE(sizeof(int) * kMaxSocketFiles)>;

std::vector<Descriptor> FilesOf(msghdr& header) {
  std::vector<Descriptor> out;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

Result<std::pair<LocalSocket, LocalSocket>> LocalSocket::Pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return Failed("socketpair", errno);
  return std::pair(LocalSocket(Descriptor(fds[0])), LocalSocket(Descriptor(fds[1])));
}

Status LocalSocket::Send(std::span<const std::byte> message, bool wait, std::span<const int> files) const {
  if (message.size() > kMaxSocketMessage || files.size() > kMaxSocketFiles) {
    return InvalidArgument("a message of " + std::to_string(message.size()) + " bytes and " +
                           std::to_string(files.size()) + " files is too large");
  }
  iovec part = {const_cast<std::byte*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) ControlBuffer control{};
  if (!files.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(c), files.data(), files.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? Failed("send", errno) : OkStatus();
}

Result<LocalSocket::Message> LocalSocket::Receive(std::span<std::byte> buffer, bool wait) const {
  iovec part = {buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) ControlBuffer control{};
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Failed("receive", errno);
  Message message;
  message.files = FilesOf(header);
  if (got == 0) return FailedPrecondition("the other side has closed the socket");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return DataLoss("a message came that is longer than " + std::to_string(buffer.size()) + " bytes");
  }
  message.size_bytes = static_cast<size_t>(got);
  return message;
}

uint32_t WaitReadable(std::span<const int> fds, int timeout_ms) {
  std::array<pollfd, 32> polled{};
  const size_t count = std::min(fds.size(), polled.size());
  for (size_t i = 0; i < count; ++i) polled[i] = {fds[i], POLLIN, 0};
  if (::poll(polled.data(), count, timeout_ms) <= 0) return 0;
  uint32_t ready = 0;
  for (size_t i = 0; i < count; ++i) {
    if (fds[i] >= 0 && polled[i].revents != 0) ready |= 1U << i;
  }
  return ready;
}

Result<WakeEvent> WakeEvent::Create() {
  Descriptor fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return Failed("eventfd", errno);
  return WakeEvent(std::move(fd));
}

void WakeEvent::Set() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(fd_.get(), &one, sizeof one);
}

void WakeEvent::Clear() const {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(fd_.get(), &count, sizeof count);
}

}  // namespace mlos::os
