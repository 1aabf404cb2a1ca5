// SPDX-License-Identifier: Apache-2.0
#include "client/testing/fake_core.h"

#include <utility>  // Boost 1.74 forgets it

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <map>
#include <thread>

#include "base/mutex.h"

namespace mlos::client {
namespace {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
}  // namespace

struct FakeCore::Impl {
  asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::thread thread;
  std::atomic<bool> ending{false};
  mutable Mutex mu;
  std::map<std::string, std::pair<int, std::string>> answers;
  std::string last_body;

  void Run() {
    for (;;) {
      beast::error_code error;
      tcp::socket socket(io);
      acceptor.accept(socket, error);
      if (error || ending.load()) return;
      beast::flat_buffer buffer;
      http::request<http::string_body> request;
      http::read(socket, buffer, request, error);
      if (error) continue;
      http::response<http::string_body> response(http::status::not_found, 11);
      {
        const MutexLock lock(mu);
        last_body = request.body();
        const auto found =
            answers.find(std::string(request.method_string()) + " " + std::string(request.target()));
        if (found != answers.end()) {
          response.result(static_cast<unsigned>(found->second.first));
          response.body() = found->second.second;
        }
      }
      response.keep_alive(false);
      response.prepare_payload();
      http::write(socket, response, error);
      socket.shutdown(tcp::socket::shutdown_both, error);
    }
  }
};

FakeCore::FakeCore() : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([this] { impl_->Run(); });
}

FakeCore::~FakeCore() {
  impl_->ending.store(true);
  beast::error_code error;
  // accept() returns for a connection only.
  tcp::socket knock(impl_->io);
  knock.connect(impl_->acceptor.local_endpoint(), error);
  impl_->thread.join();
}

std::string FakeCore::url() const {
  return "http://127.0.0.1:" + std::to_string(impl_->acceptor.local_endpoint().port());
}

void FakeCore::Answer(const std::string& request, int status, const std::string& body) {
  const MutexLock lock(impl_->mu);
  impl_->answers[request] = {status, body};
}

std::string FakeCore::last_body() const {
  const MutexLock lock(impl_->mu);
  return impl_->last_body;
}

}  // namespace mlos::client
