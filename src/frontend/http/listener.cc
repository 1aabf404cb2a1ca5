// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/listener.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>

namespace mlos::frontend {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;

constexpr int kBacklog = 1024;
// After accept() failed for want of file descriptors or memory.
constexpr std::chrono::milliseconds kAcceptPause{50};

std::string Show(const std::string& host, uint16_t port) {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Status ListenError(const std::string& where, const error_code& error) {
  if (error == asio::error::address_in_use) {
    return FailedPrecondition(
        "cannot listen on " + where +
        ": the address is in use; stop the program that holds it, or choose another port");
  }
  const std::string message = "cannot listen on " + where + ": " + error.message();
  if (error == asio::error::access_denied) return PermissionDenied(message);
  return InvalidArgument(message);
}

std::string PeerName(const Session::Socket& socket, bool tcp) {
  if (!tcp) return "unix";
  error_code error;
  const Generic::endpoint remote = socket.remote_endpoint(error);
  if (error || remote.size() > sizeof(asio::ip::tcp::endpoint)) return "unknown";
  asio::ip::tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), remote.data(), remote.size());
  endpoint.resize(remote.size());
  return Show(endpoint.address().to_string(error), endpoint.port());
}

}  // namespace

struct Listener::Acceptor {
  asio::basic_socket_acceptor<Generic> socket;
  asio::steady_timer pause;
  bool tcp;
};

Listener::Listener(std::vector<std::shared_ptr<IoLoop>> loops, OnAccept on_accept)
    : loops_(std::move(loops)), on_accept_(std::move(on_accept)) {}

Listener::~Listener() {
  std::error_code ignored;
  if (!unix_path_.empty()) std::filesystem::remove(unix_path_, ignored);
}

Result<std::unique_ptr<Listener>> Listener::Open(const HttpConfig& config,
                                                 std::vector<std::shared_ptr<IoLoop>> loops,
                                                 OnAccept on_accept) {
  std::unique_ptr<Listener> listener(new Listener(std::move(loops), std::move(on_accept)));
  MLOS_RETURN_IF_ERROR(listener->OpenTcp(config));
  if (!config.unix_path.empty()) MLOS_RETURN_IF_ERROR(listener->OpenUnix(config.unix_path));
  if (listener->endpoints_.empty()) return InvalidArgument("no address to listen on");
  return listener;
}

// With port 0 the kernel chooses for the first host; when that port is taken on another host, all start over.
Status Listener::OpenTcp(const HttpConfig& config) {
  constexpr int kTries = 16;
  for (int attempt = 0;; ++attempt) {
    bool port_taken = false;
    const Status status = OpenAll(config.hosts, config.port, &port_taken);
    if (status.ok() || config.port != 0 || !port_taken || attempt == kTries) return status;
    acceptors_.clear();
    endpoints_.clear();
  }
}

Status Listener::OpenAll(const std::vector<std::string>& hosts, uint16_t port, bool* port_taken) {
  Status skipped;
  for (const std::string& host : hosts) {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(host, error);
    if (error) return InvalidArgument("'" + host + "' is not an IP address to listen on");
    asio::ip::tcp::acceptor acceptor(loops_[0]->context());
    const asio::ip::tcp::endpoint endpoint(address, port);
    if (!acceptor.open(endpoint.protocol(), error))
      acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(kBacklog, error);
    if (error) {
      *port_taken = error == asio::error::address_in_use;
      const Status status = ListenError(Show(host, port), error);
      const bool no_ipv6 =
          address.is_v6() && address.is_loopback() && !*port_taken && error != asio::error::access_denied;
      if (!no_ipv6) return status;
      skipped = status;
      continue;
    }
    port = acceptor.local_endpoint().port();
    endpoints_.push_back({host, port});
    const int handle = acceptor.release();
    acceptors_.push_back(std::make_unique<Acceptor>(Acceptor{
        asio::basic_socket_acceptor<Generic>(loops_[0]->context(), Generic(endpoint.protocol()), handle),
        asio::steady_timer(loops_[0]->context()), true}));
  }
  return endpoints_.empty() ? skipped : OkStatus();
}

Status Listener::OpenUnix(const std::string& path) {
  using asio::local::stream_protocol;
  error_code error;
  std::error_code file_error;
  if (std::filesystem::is_socket(path, file_error)) {
    // Only a file that nobody answers on may go.
    stream_protocol::socket probe(loops_[0]->context());
    if (!probe.connect(stream_protocol::endpoint(path), error))
      return ListenError(path, asio::error::address_in_use);
    std::filesystem::remove(path, file_error);
  }
  if (path.size() >= 108)
    return InvalidArgument("the unix socket path '" + path + "' is longer than 107 bytes");
  stream_protocol::acceptor acceptor(loops_[0]->context());
  acceptor.open(stream_protocol(), error);
  if (!error) acceptor.bind(stream_protocol::endpoint(path), error);
  if (!error) {
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, file_error);
    acceptor.listen(kBacklog, error);
  }
  if (error) return ListenError(path, error);
  unix_path_ = path;
  endpoints_.push_back({path, 0});
  const int handle = acceptor.release();
  acceptors_.push_back(std::make_unique<Acceptor>(
      Acceptor{asio::basic_socket_acceptor<Generic>(loops_[0]->context(), Generic(stream_protocol()), handle),
               asio::steady_timer(loops_[0]->context()), false}));
  return OkStatus();
}

void Listener::Start() {
  for (const auto& acceptor : acceptors_) Accept(*acceptor);
}

void Listener::Accept(Acceptor& acceptor) {
  const std::shared_ptr<IoLoop> loop = loops_[next_loop_++ % loops_.size()];
  auto socket = std::make_shared<Session::Socket>(loop->context());
  acceptor.socket.async_accept(*socket, [this, &acceptor, loop, socket](const error_code& error) {
    if (error == asio::error::operation_aborted || !acceptor.socket.is_open()) return;
    if (!error) {
      error_code ignored;
      socket->non_blocking(true, ignored);
      if (acceptor.tcp) socket->set_option(asio::ip::tcp::no_delay(true), ignored);
      loop->Post([this, loop, socket, tcp = acceptor.tcp] {
        on_accept_(loop, std::move(*socket), PeerName(*socket, tcp));
      });
      return Accept(acceptor);
    }
    acceptor.pause.expires_after(kAcceptPause);
    acceptor.pause.async_wait([this, &acceptor](const error_code& pause_error) {
      if (!pause_error && acceptor.socket.is_open()) Accept(acceptor);
    });
  });
}

void Listener::Close() {
  for (const auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->socket.close(ignored);
    acceptor->pause.cancel();
  }
}

}  // namespace mlos::frontend
