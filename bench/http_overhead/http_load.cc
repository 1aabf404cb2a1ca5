// SPDX-License-Identifier: Apache-2.0
// Closed-loop HTTP/1.1 keep-alive load: every connection sends its next request when its answer has come. Prints one JSON line.
// usage: bench_http_load PORT PATH BODY_FILE CONTENT_TYPE CONNECTIONS REQUESTS   (REQUESTS / 10 more to warm up)
// With one connection it blocks in send and recv, the least a client can do; with more it uses one epoll thread.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Fail("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Bytes of the answer at the front of `in`, or 0 while it is not complete.
size_t AnswerSize(const std::string& in) {
  const size_t head = in.find("\r\n\r\n");
  if (head == std::string::npos) return 0;
  if (in.compare(0, 12, "HTTP/1.1 200") != 0) {
    std::fprintf(stderr, "answer: %s\n", in.substr(0, 600).c_str());
    std::exit(1);
  }
  const size_t field = in.find("Content-Length: ");
  if (field == std::string::npos || field > head) return 0;
  const size_t total = head + 4 + std::strtoul(in.c_str() + field + 16, nullptr, 10);
  return in.size() >= total ? total : 0;
}

void SendAll(int fd, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) Fail("send");
    at += static_cast<size_t>(n);
  }
}

struct Connection {
  int fd;
  std::string in;
  Clock::time_point sent;
};

// True when the answer is complete; reads once.
bool ReadSome(Connection* c) {
  char bytes[65536];
  const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
  if (n <= 0) Fail("recv");
  c->in.append(bytes, static_cast<size_t>(n));
  const size_t size = AnswerSize(c->in);
  c->in.erase(0, size);
  return size > 0;
}

std::vector<double> Run(std::vector<Connection>* connections, const std::string& request, size_t requests) {
  std::vector<double> us;
  us.reserve(requests);
  const auto start_one = [&](Connection* c) {
    c->sent = Clock::now();
    SendAll(c->fd, request);
  };
  const auto done = [&](const Connection& c) {
    us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - c.sent).count());
  };
  if (connections->size() == 1) {
    Connection& c = connections->front();
    while (us.size() < requests) {
      start_one(&c);
      while (!ReadSome(&c)) {
      }
      done(c);
    }
    return us;
  }
  const int poll = epoll_create1(0);
  for (Connection& c : *connections) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    epoll_ctl(poll, EPOLL_CTL_ADD, c.fd, &event);
    start_one(&c);
  }
  size_t started = connections->size();
  epoll_event events[256];
  while (us.size() < requests) {
    const int n = epoll_wait(poll, events, 256, 10000);
    if (n <= 0) Fail("epoll_wait");
    for (int i = 0; i < n; ++i) {
      auto* c = static_cast<Connection*>(events[i].data.ptr);
      if (!ReadSome(c)) continue;
      done(*c);
      if (started < requests) {
        ++started;
        start_one(c);
      }
    }
  }
  close(poll);
  return us;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s PORT PATH BODY_FILE CONTENT_TYPE CONNECTIONS REQUESTS\n", argv[0]);
    return 2;
  }
  std::ifstream file(argv[3], std::ios::binary);
  const std::string body{std::istreambuf_iterator<char>(file), {}};
  const std::string request = "POST " + std::string(argv[2]) +
                              " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + argv[4] +
                              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  std::vector<Connection> connections;
  for (int i = 0; i < std::atoi(argv[5]); ++i) connections.push_back({Connect(std::atoi(argv[1])), {}, {}});
  const auto requests = static_cast<size_t>(std::max({std::atoi(argv[6]), std::atoi(argv[5]), 10}));
  Run(&connections, request, std::max(requests / 10, connections.size()));
  const Clock::time_point start = Clock::now();
  std::vector<double> us = Run(&connections, request, requests);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::sort(us.begin(), us.end());
  std::printf("{\"requests\":%zu,\"rps\":%.2f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"min_us\":%.1f}\n", us.size(),
              static_cast<double>(us.size()) / seconds, us[us.size() / 2], us[us.size() * 99 / 100], us[0]);
  return 0;
}
