// SPDX-License-Identifier: Apache-2.0
// Listening sockets: opens them, accepts, hands each connection to an I/O loop.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "frontend/http/io_loop.h"
#include "frontend/http/server.h"
#include "frontend/http/session.h"

namespace mlos::frontend {

// Opens every endpoint that `config` asks for; all TCP ones on one port.
class Listener {
 public:
  using OnAccept =
      std::function<void(const std::shared_ptr<IoLoop>& loop, Session::Socket socket, std::string peer)>;

  // Acceptors live on loops[0]; connections go round. `on_accept` is called on the connection's loop.
  static Result<std::unique_ptr<Listener>> Open(const HttpConfig& config,
                                                std::vector<std::shared_ptr<IoLoop>> loops,
                                                OnAccept on_accept);
  ~Listener();

  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  // Begins to accept.
  void Start();
  // On loops[0]'s thread: closes the listening sockets.
  void Close();

 private:
  struct Acceptor;

  Listener(std::vector<std::shared_ptr<IoLoop>> loops, OnAccept on_accept);
  Status OpenTcp(const HttpConfig& config);
  Status OpenAll(const std::vector<std::string>& hosts, uint16_t port, bool* port_taken);
  Status OpenUnix(const std::string& path);
  void Accept(Acceptor& acceptor);

  const std::vector<std::shared_ptr<IoLoop>> loops_;
  const OnAccept on_accept_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<Endpoint> endpoints_;
  std::string unix_path_;
  size_t next_loop_ = 0;
};

}  // namespace mlos::frontend
