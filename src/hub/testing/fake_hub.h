// SPDX-License-Identifier: Apache-2.0
// An HTTP server that behaves as told, or misbehaves: for tests of the downloader and the adapters.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mlos::hub {

class FakeHub {
 public:
  // What becomes of one request; the defaults serve the file.
  struct Behaviour {
    int status = 0;  // not 0: this status, `body`, `headers`
    std::string body;
    std::map<std::string, std::string> headers;  // added to any answer
    bool ignore_range = false;
    bool chunked = false;       // no Content-Length
    int64_t drop_after = -1;    // closes the connection after so many bytes of the body
    int64_t stall_after = -1;   // sends nothing more after so many bytes, keeps the connection open
    int64_t pretend_size = -1;  // sends a file of this length: cut, or with "x" put behind it
    bool corrupt = false;       // flips the first byte it sends
  };
  struct Seen {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  // names in lower case
  };

  FakeHub();
  ~FakeHub();
  std::string url() const;  // "http://127.0.0.1:PORT"
  uint16_t port() const;

  // `target` includes the query. Files know ranges, If-Range and ETags.
  void AddFile(const std::string& target, std::string contents, const std::string& etag);
  // For the next requests of `target`, one each; afterwards the file is served as it should.
  void Script(const std::string& target, std::deque<Behaviour> behaviours);
  // For every request of `target`.
  void Always(const std::string& target, Behaviour behaviour);

  std::vector<Seen> seen() const;
  // Bytes of bodies sent.
  uint64_t bytes_sent() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlos::hub
