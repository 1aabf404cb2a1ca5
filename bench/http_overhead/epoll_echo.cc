// SPDX-License-Identifier: Apache-2.0
// The floor: one thread, epoll, no HTTP parsing beyond finding the request's end, one fixed answer.
// usage: bench_epoll_echo ANSWER_BYTES   prints its port, serves until killed
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Connection {
  int fd;
  std::vector<char> in;
  size_t size = 0;
  size_t wanted = 0;  // of the request; 0 = its head is not complete
};

// Reads what is there; answers complete requests.
bool Serve(Connection* c, const std::string& answer) {
  if (c->in.size() - c->size < 65536) c->in.resize(c->in.size() + (c->wanted > 65536 ? c->wanted : 65536));
  const ssize_t n = recv(c->fd, c->in.data() + c->size, c->in.size() - c->size, 0);
  if (n <= 0) return false;
  c->size += static_cast<size_t>(n);
  while (c->size > 0) {
    if (c->wanted == 0) {
      const auto* end = static_cast<const char*>(memmem(c->in.data(), c->size, "\r\n\r\n", 4));
      if (end == nullptr) return true;
      const auto head = static_cast<size_t>(end - c->in.data()) + 4;
      const auto* length = static_cast<const char*>(memmem(c->in.data(), head, "Content-Length: ", 16));
      c->wanted = head + (length != nullptr ? std::strtoul(length + 16, nullptr, 10) : 0);
    }
    if (c->size < c->wanted) return true;
    std::memmove(c->in.data(), c->in.data() + c->wanted, c->size - c->wanted);
    c->size -= c->wanted;
    c->wanted = 0;
    if (send(c->fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string body(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 64, 'x');
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 128) != 0)
    return 1;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  const int poll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  epoll_event events[256];
  while (true) {
    const int n = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < n; ++i) {
      auto* c = static_cast<Connection*>(events[i].data.ptr);
      if (c == nullptr) {
        const int fd = accept(listener, nullptr, nullptr);
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event.events = EPOLLIN;
        event.data.ptr = new Connection{fd, {}, 0, 0};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
      } else if (!Serve(c, answer)) {
        close(c->fd);
        delete c;
      }
    }
  }
}
