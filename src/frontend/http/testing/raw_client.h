// SPDX-License-Identifier: Apache-2.0
// A client that sends exactly the bytes it is told to, for tests of the server's protocol.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "frontend/http/request_head.h"
#include "frontend/http/server.h"

namespace mlos::frontend {

struct RawResponse {
  int status = 0;                             // 0: the connection ended before a whole answer
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;                           // after chunked decoding
};

// Blocking; every read has the kernel's patience of 20 s.
class RawClient {
 public:
  explicit RawClient(const Endpoint& endpoint) : socket_(context_) {
    boost::system::error_code error;
    if (endpoint.port == 0) {
      socket_.connect(boost::asio::local::stream_protocol::endpoint(endpoint.host), error);
    } else {
      socket_.connect(
          boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(endpoint.host), endpoint.port), error);
    }
    connected_ = !error;
    if (connected_) {
      const timeval patience{20, 0};
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
  }

  bool connected() const { return connected_; }

  // False when the server has closed or reset the connection.
  bool Send(std::string_view bytes) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), error);
    return !error;
  }

  void Close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  // The next answer. `head_only`: it has no body whatever its fields say.
  RawResponse Read(bool head_only = false) {
    RawResponse out;
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return out;
    }
    ParseHead(buffer_.substr(0, end), &out);
    buffer_.erase(0, end + 4);
    const int status = out.status;
    out.status = 0;
    if (status == 100 || status == 204 || head_only) {
      out.status = status;
    } else if (out.fields.count("transfer-encoding") > 0) {
      if (ReadChunks(&out.body)) out.status = status;
    } else if (out.fields.count("content-length") > 0) {
      const size_t length = std::stoul(out.fields["content-length"]);
      while (buffer_.size() < length) {
        if (!Fill()) return out;
      }
      out.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
      out.status = status;
    } else {
      while (Fill()) {
      }
      out.body.swap(buffer_);
      out.status = status;
    }
    return out;
  }

  // Reads until `text` has come; false when the connection ended before.
  bool ReadUntil(std::string_view text) {
    while (buffer_.find(text) == std::string::npos) {
      if (!Fill()) return false;
    }
    return true;
  }

  // True when the server has ended the connection and sent nothing more.
  bool AtEnd() { return buffer_.empty() && !Fill(); }

  RawResponse Ask(std::string_view request) {
    Send(request);
    return Read();
  }

 private:
  bool Fill() {
    char bytes[65536];
    boost::system::error_code error;
    const size_t n = socket_.read_some(boost::asio::buffer(bytes), error);
    buffer_.append(bytes, n);
    return !error;
  }

  static void ParseHead(const std::string& head, RawResponse* out) {
    out->status = std::atoi(head.substr(9, 3).c_str());
    size_t at = head.find("\r\n");
    while (at != std::string::npos) {
      const size_t next = head.find("\r\n", at + 2);
      const std::string line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
      std::string name = line.substr(0, line.find(':'));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      out->fields[name] = line.substr(line.find(':') + 2);
      at = next;
    }
  }

  bool ReadChunks(std::string* body) {
    while (true) {
      size_t line = 0;
      while ((line = buffer_.find("\r\n")) == std::string::npos) {
        if (!Fill()) return false;
      }
      const size_t size = std::stoul(buffer_.substr(0, line), nullptr, 16);
      while (buffer_.size() < line + 2 + size + 2) {
        if (!Fill()) return false;
      }
      *body += buffer_.substr(line + 2, size);
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) return true;
    }
  }

  boost::asio::io_context context_;
  boost::asio::generic::stream_protocol::socket socket_;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace mlos::frontend
