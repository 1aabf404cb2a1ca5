// SPDX-License-Identifier: Apache-2.0
// Open-loop HTTP load: requests come at random (exponential) intervals, whether or not earlier ones were answered; latency counts from the
// time at which a request was meant to be sent. Prints one JSON line.
// usage: bench_open_load PORT SECONDS RATE SEED DEADLINES CONNECTIONS (PATH BODY_FILE CONTENT_TYPE SHARE SLO_MS)...
// RATE is requests a second. DEADLINES 1: each request says in X-Deadline-Ms what is left of its SLO when it is sent.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Ms = std::chrono::duration<double, std::milli>;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Model {
  std::string path;
  std::string body;
  std::string type;
  double share;
  double slo_ms;
  size_t asked = 0;
  size_t on_time = 0;
  std::vector<double> latency_ms;  // of those that were answered 200
};

struct Intended {
  Clock::time_point at;
  size_t model;
};

struct Connection {
  int fd = -1;
  bool busy = false;
  Intended request;
  std::string out;
  size_t sent = 0;
  std::string in;
};

class Load {
 public:
  Load(int port, bool deadlines, size_t connections, std::vector<Model> models)
      : port_(port), deadlines_(deadlines), models_(std::move(models)), poll_(epoll_create1(0)) {
    for (size_t i = 0; i < connections; ++i) {
      connections_.push_back(std::make_unique<Connection>());
      Open(connections_.back().get());
    }
  }

  void Run(double seconds, double rate, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::exponential_distribution<double> gap(rate);
    std::vector<double> shares;
    for (const Model& model : models_) shares.push_back(model.share);
    std::discrete_distribution<size_t> pick(shares.begin(), shares.end());
    const Clock::time_point start = Clock::now();
    const auto end =
        start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    auto next = start + Seconds(gap(random));
    // What is not answered half a minute after the end never will be.
    const auto give_up = end + std::chrono::seconds(30);
    while (Clock::now() < give_up) {
      for (; next <= Clock::now() && next < end; next += Seconds(gap(random))) {
        const size_t model = pick(random);
        ++models_[model].asked;
        waiting_.push_back({next, model});
      }
      SendWaiting();
      if (next >= end && waiting_.empty() && idle_.size() == connections_.size()) break;
      Poll(next < end ? next : Clock::now() + std::chrono::milliseconds(50));
    }
  }

  void Print(double rate) const {
    size_t asked = 0;
    size_t on_time = 0;
    for (const Model& m : models_) {
      asked += m.asked;
      on_time += m.on_time;
    }
    std::printf("{\"rate\":%.2f,\"requests\":%zu,\"on_time\":%.4f,\"held_back\":%zu,\"statuses\":{", rate,
                asked, Share(on_time, asked), held_back_);
    bool first = true;
    for (const auto& [status, count] : statuses_) {
      std::printf("%s\"%d\":%zu", first ? "" : ",", status, count);
      first = false;
    }
    std::printf("},\"models\":[");
    for (size_t i = 0; i < models_.size(); ++i) {
      std::vector<double> ms = models_[i].latency_ms;
      std::sort(ms.begin(), ms.end());
      const auto at = [&](double q) {
        return ms.empty()
                   ? 0
                   : ms[std::min(ms.size() - 1, static_cast<size_t>(q * static_cast<double>(ms.size())))];
      };
      std::printf("%s{\"on_time\":%.4f,\"answered\":%.4f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}", i == 0 ? "" : ",",
                  Share(models_[i].on_time, models_[i].asked), Share(ms.size(), models_[i].asked), at(0.5),
                  at(0.99));
    }
    std::printf("]}\n");
  }

 private:
  static Clock::duration Seconds(double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
  }
  static double Share(size_t part, size_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }

  void Open(Connection* c) {
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c->fd < 0 || connect(c->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      Fail("connect");
    const int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = c;
    epoll_ctl(poll_, EPOLL_CTL_ADD, c->fd, &event);
    c->busy = false;
    idle_.push_back(c);
  }

  void SendWaiting() {
    while (!waiting_.empty() && !idle_.empty()) {
      Connection* const c = idle_.back();
      idle_.pop_back();
      c->busy = true;
      c->request = waiting_.front();
      waiting_.pop_front();
      const Model& model = models_[c->request.model];
      const double late_ms = Ms(Clock::now() - c->request.at).count();
      if (late_ms > 1) ++held_back_;
      c->out = "POST " + model.path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + model.type;
      if (deadlines_) c->out += "\r\nX-Deadline-Ms: " + std::to_string(model.slo_ms - late_ms);
      c->out += "\r\nContent-Length: " + std::to_string(model.body.size()) + "\r\n\r\n" + model.body;
      c->sent = 0;
      Write(c);
    }
  }

  void Write(Connection* c) {
    while (c->sent < c->out.size()) {
      const ssize_t n =
          send(c->fd, c->out.data() + c->sent, c->out.size() - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (n <= 0) Fail("send");
      c->sent += static_cast<size_t>(n);
    }
    epoll_event event{};
    event.events = EPOLLIN | (c->sent < c->out.size() ? EPOLLOUT : 0U);
    event.data.ptr = c;
    epoll_ctl(poll_, EPOLL_CTL_MOD, c->fd, &event);
  }

  void Poll(Clock::time_point until) {
    const double left_ms = Ms(until - Clock::now()).count();
    timespec wait{};
    const auto ns = static_cast<long>(std::clamp(left_ms, 0.0, 50.0) * 1e6);
    wait.tv_nsec = ns;
    epoll_event events[64];
    const int n = epoll_pwait2(poll_, events, 64, &wait, nullptr);
    for (int i = 0; i < n; ++i) {
      auto* const c = static_cast<Connection*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) != 0) Write(c);
      if ((events[i].events & ~static_cast<unsigned>(EPOLLOUT)) != 0) Read(c);
    }
  }

  void Read(Connection* c) {
    char bytes[65536];
    const ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) Fail("the server closed a connection");
    c->in.append(bytes, static_cast<size_t>(n));
    const size_t head = c->in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const size_t field = c->in.find("Content-Length: ");
    const size_t length = field < head ? std::strtoul(c->in.c_str() + field + 16, nullptr, 10) : 0;
    if (c->in.size() < head + 4 + length) return;
    Answered(*c, std::atoi(c->in.c_str() + 9));
    c->in.erase(0, head + 4 + length);
    c->busy = false;
    idle_.push_back(c);
  }

  void Answered(const Connection& c, int status) {
    ++statuses_[status];
    if (status != 200) return;
    Model& model = models_[c.request.model];
    const double ms = Ms(Clock::now() - c.request.at).count();
    model.latency_ms.push_back(ms);
    if (ms <= model.slo_ms) ++model.on_time;
  }

  const int port_;
  const bool deadlines_;
  std::vector<Model> models_;
  const int poll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;
  std::deque<Intended> waiting_;
  std::map<int, size_t> statuses_;
  size_t held_back_ =
      0;  // sent over 1 ms after they were meant to be: connections ran out, or the generator had no CPU
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 12 || (argc - 7) % 5 != 0) {
    std::fprintf(stderr,
                 "usage: %s PORT SECONDS RATE SEED DEADLINES CONNECTIONS (PATH BODY_FILE CONTENT_TYPE SHARE "
                 "SLO_MS)...\n",
                 argv[0]);
    return 2;
  }
  std::vector<Model> models;
  for (int i = 7; i + 4 < argc; i += 5) {
    std::ifstream file(argv[i + 1], std::ios::binary);
    if (!file) Fail(argv[i + 1]);
    models.push_back({.path = argv[i],
                      .body = {std::istreambuf_iterator<char>(file), {}},
                      .type = argv[i + 2],
                      .share = std::atof(argv[i + 3]),
                      .slo_ms = std::atof(argv[i + 4])});
  }
  const double rate = std::atof(argv[3]);
  Load load(std::atoi(argv[1]), std::atoi(argv[5]) != 0, static_cast<size_t>(std::max(1, std::atoi(argv[6]))),
            std::move(models));
  load.Run(std::atof(argv[2]), rate, std::strtoull(argv[4], nullptr, 10));
  load.Print(rate);
  return 0;
}
