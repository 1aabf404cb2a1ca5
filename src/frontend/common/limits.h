// SPDX-License-Identifier: Apache-2.0
// Every limit a front end puts on what comes from outside. Values are defaults; HttpConfig carries the ones in force.
#pragma once

#include <chrono>
#include <cstddef>

namespace mlos::frontend {

struct Limits {
  // Body of one request, after chunked decoding. Larger: 413, before a byte of it is read when Content-Length says so.
  size_t max_body_bytes = size_t{64} << 20;
  // Bodies of all connections together. Above: 503. Keeps many large uploads from exhausting memory.
  size_t max_total_body_bytes = size_t{1} << 30;
  // Request line + header fields. Larger: 431 (414 when the request line alone is too long).
  size_t max_head_bytes = size_t{32} << 10;
  size_t max_header_fields = 100;
  // Open connections. Above: 503 and close.
  size_t max_connections = 4096;
  // Streamed text that a client has not read yet. Above: the generation is cancelled, the connection closed.
  size_t max_stream_backlog_bytes = size_t{1} << 20;

  // First byte of a request -> its head is complete. Longer: 408 and close.
  std::chrono::milliseconds head_timeout{10'000};
  // Between two reads of a body. Longer: 408 and close.
  std::chrono::milliseconds body_timeout{30'000};
  // Whole body at this rate or better, on top of body_timeout; slower: 408 and close.
  size_t min_body_bytes_per_second = 1024;
  // Keep-alive connection without a request. Longer: close.
  std::chrono::milliseconds idle_timeout{75'000};
  // Between two writes that make progress. Longer: the request is cancelled, the connection closed.
  std::chrono::milliseconds write_timeout{30'000};
  // After an early answer (413 ...): how long the rest of the request is still read and dropped, so that the client can
  // read the answer instead of a connection reset.
  std::chrono::milliseconds linger_timeout{5'000};
};

}  // namespace mlos::frontend
