// SPDX-License-Identifier: Apache-2.0
#include "hub/testing/fake_hub.h"

#include <utility>  // Boost 1.74 forgets it

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <atomic>
#include <list>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "hub/mirror_target.h"

namespace mlos::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

std::string Lower(beast::string_view text) {
  std::string out(text.data(), text.size());
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string HeaderOf(const FakeHub::Seen& request, const std::string& name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? "" : found->second;
}

struct File {
  std::string contents;
  std::string etag;
};

}  // namespace

struct FakeHub::Impl {
  asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::thread accepting;
  std::atomic<uint64_t> bytes_sent{0};

  Mutex mu;
  CondVar changed;
  bool ending = false;
  std::list<tcp::socket> sockets;
  std::vector<std::thread> threads;
  std::map<std::string, File> files;
  std::map<std::string, std::deque<Behaviour>> scripts;
  std::map<std::string, Behaviour> always;
  std::vector<Seen> seen;

  void Accept() {
    for (;;) {
      tcp::socket socket(io);
      beast::error_code error;
      acceptor.accept(socket, error);
      const MutexLock lock(mu);
      if (error || ending) return;
      sockets.push_back(std::move(socket));
      threads.emplace_back([this, peer = &sockets.back()] { Serve(peer); });
    }
  }

  void Serve(tcp::socket* socket) {
    beast::flat_buffer buffer;
    beast::error_code error;
    for (;;) {
      http::request<http::string_body> request;
      http::read(*socket, buffer, request, error);
      if (error) return;
      Seen record{std::string(request.method_string()), std::string(request.target()), {}};
      for (const auto& field : request)
        record.headers[Lower(field.name_string())] = std::string(field.value());
      if (!Answer(socket, record)) break;
    }
    socket->shutdown(tcp::socket::shutdown_both, error);
  }

  Behaviour Next(const Seen& request) {
    const MutexLock lock(mu);
    seen.push_back(request);
    if (auto& script = scripts[request.target]; !script.empty()) {
      Behaviour behaviour = script.front();
      script.pop_front();
      return behaviour;
    }
    const auto found = always.find(request.target);
    return found == always.end() ? Behaviour() : found->second;
  }

  std::optional<File> Find(const std::string& target) {
    const MutexLock lock(mu);
    const auto found = files.find(target);
    if (found == files.end()) return std::nullopt;
    return found->second;
  }

  // False: the connection is to be closed.
  bool Answer(tcp::socket* socket, const Seen& request) {
    const Behaviour behaviour = Next(request);
    std::map<std::string, std::string> headers = behaviour.headers;
    std::string body = behaviour.body;
    int status = behaviour.status;
    if (status == 0) {
      const std::optional<File> file = Find(request.target);
      status = file ? 200 : 404;
      if (file) {
        headers.emplace("ETag", file->etag);
        body = file->contents;
        if (behaviour.pretend_size >= 0) body.resize(static_cast<size_t>(behaviour.pretend_size), 'x');
        if (!behaviour.ignore_range) status = CutRange(request, headers["ETag"], &body, &headers);
      }
    }
    if (behaviour.corrupt && !body.empty()) body[0] = static_cast<char>(body[0] ^ 1);
    return Send(socket, status, headers, body, behaviour, request.method == "HEAD");
  }

  static int CutRange(const Seen& request, const std::string& etag, std::string* body,
                      std::map<std::string, std::string>* headers) {
    const std::string if_range = HeaderOf(request, "if-range");
    if (!if_range.empty() && if_range != etag) return 200;
    const auto range = ParseRangeHeader(HeaderOf(request, "range"), body->size());
    if (!range.ok()) {
      (*headers)["Content-Range"] = "bytes */" + std::to_string(body->size());
      body->clear();
      return 416;
    }
    if (!range->has_value()) return 200;
    const ByteRange part = **range;
    (*headers)["Content-Range"] = "bytes " + std::to_string(part.begin) + "-" +
                                  std::to_string(part.begin + part.length - 1) + "/" +
                                  std::to_string(body->size());
    *body = body->substr(part.begin, part.length);
    return 206;
  }

  bool Send(tcp::socket* socket, int status, const std::map<std::string, std::string>& headers,
            const std::string& body, const Behaviour& behaviour, bool head_only) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Status\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    if (behaviour.chunked) {
      text += "Connection: close\r\n\r\n";
    } else {
      text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    }
    beast::error_code error;
    asio::write(*socket, asio::buffer(text), error);
    if (error || head_only) return !error;
    const int64_t limit = behaviour.drop_after >= 0 ? behaviour.drop_after : behaviour.stall_after;
    const size_t bytes = limit >= 0 ? std::min(body.size(), static_cast<size_t>(limit)) : body.size();
    // Counted before the write: the client may be done with the last byte before this thread runs again.
    bytes_sent += bytes;
    bytes_sent -= bytes - asio::write(*socket, asio::buffer(body.data(), bytes), error);
    if (error || behaviour.drop_after >= 0 || behaviour.chunked) return false;
    if (behaviour.stall_after >= 0) {
      const MutexLock lock(mu);
      while (!ending) changed.Wait(mu);
      return false;
    }
    return true;
  }
};

FakeHub::FakeHub() : impl_(std::make_unique<Impl>()) {
  impl_->accepting = std::thread([this] { impl_->Accept(); });
}

FakeHub::~FakeHub() {
  beast::error_code error;
  {
    const MutexLock lock(impl_->mu);
    impl_->ending = true;
    impl_->changed.NotifyAll();
    for (tcp::socket& socket : impl_->sockets) socket.shutdown(tcp::socket::shutdown_both, error);
  }
  // accept() returns for a connection only.
  tcp::socket knock(impl_->io);
  knock.connect(impl_->acceptor.local_endpoint(), error);
  impl_->accepting.join();
  for (std::thread& thread : impl_->threads) thread.join();
}

uint16_t FakeHub::port() const { return impl_->acceptor.local_endpoint().port(); }
std::string FakeHub::url() const { return "http://127.0.0.1:" + std::to_string(port()); }

void FakeHub::AddFile(const std::string& target, std::string contents, const std::string& etag) {
  const MutexLock lock(impl_->mu);
  impl_->files[target] = {std::move(contents), etag};
}

void FakeHub::Script(const std::string& target, std::deque<Behaviour> behaviours) {
  const MutexLock lock(impl_->mu);
  impl_->scripts[target] = std::move(behaviours);
}

void FakeHub::Always(const std::string& target, Behaviour behaviour) {
  const MutexLock lock(impl_->mu);
  impl_->always[target] = std::move(behaviour);
}

std::vector<FakeHub::Seen> FakeHub::seen() const {
  const MutexLock lock(impl_->mu);
  return impl_->seen;
}

uint64_t FakeHub::bytes_sent() const { return impl_->bytes_sent.load(); }

}  // namespace mlos::hub
