// SPDX-License-Identifier: Apache-2.0
// The half of Session that moves bytes.
#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cstdio>
#include <cstring>

#include "base/clock.h"
#include "frontend/http/response_head.h"
#include "frontend/http/session.h"

namespace mlos::frontend {
namespace {

constexpr size_t kFirstInputBytes = size_t{8} << 10;

int64_t Ns(std::chrono::milliseconds ms) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(ms).count();
}

}  // namespace

// --- reading ---

// Keeps one read under way, also while a request is in work: that is how a client that goes away is noticed.
void Session::ArmRead() {
  if (reading_ || phase_ == Phase::kClosed) return;
  boost::asio::mutable_buffer target;
  reading_body_ = phase_ == Phase::kBody && body_kind_ == BodyKind::kBuffered && Unread().empty();
  if (reading_body_) {
    target = boost::asio::buffer(body_.data.get() + body_received_,
                                 static_cast<size_t>(body_length_) - body_received_);
  } else {
    // Views into the input live while a request is in work: then only what is free behind it is used.
    if (phase_ != Phase::kHandling && phase_ != Phase::kStreaming) MakeRoom();
    if (in_end_ == in_capacity_) return;  // full of pipelined requests: read on when one of them is done
    target = boost::asio::buffer(in_.get() + in_end_, in_capacity_ - in_end_);
  }
  reading_ = true;
  socket_.async_read_some(target,
                          [self = shared_from_this()](const boost::system::error_code& error, size_t n) {
                            self->reading_ = false;
                            if (self->phase_ == Phase::kClosed) return;
                            const bool into_body = self->reading_body_;
                            self->reading_body_ = false;
                            if (self->parked_body_.capacity > 0) {
                              self->loop_->bodies().Give(std::move(self->parked_body_));
                              self->parked_body_ = {};
                            } else if (!error && into_body) {
                              self->body_received_ += n;
                            } else if (!error) {
                              self->in_end_ += n;
                            }
                            self->OnRead(n, static_cast<bool>(error));
                          });
}

// Room for the largest head, or for a body that is read in place.
void Session::MakeRoom() {
  if (phase_ == Phase::kLingering) in_begin_ = in_end_;
  const size_t waiting = in_end_ - in_begin_;
  if (in_begin_ > 0 && (waiting == 0 || in_end_ == in_capacity_)) {
    if (waiting > 0) std::memmove(in_.get(), in_.get() + in_begin_, waiting);
    in_begin_ = 0;
    in_end_ = waiting;
  }
  const size_t limit = std::max(shared_.config.limits.max_head_bytes, kInPlaceBytes) + 1;
  if (in_end_ < in_capacity_ || in_capacity_ >= limit) return;
  const size_t capacity = std::min(std::max(kFirstInputBytes, in_capacity_ * 2), limit);
  auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
  if (waiting > 0) std::memcpy(bigger.get(), in_.get() + in_begin_, waiting);
  in_ = std::move(bigger);
  in_capacity_ = capacity;
}

void Session::OnRead(size_t bytes, bool failed) {
  if (failed) {
    // Answers that are still on their way are finished for a client that only stopped sending.
    if (phase_ == Phase::kHead && (write_armed_ || !out_.empty())) {
      close_after_write_ = true;
      linger_ = false;
      return;
    }
    return Abort();
  }
  if (bytes > 0) last_read_ns_ = Clock::Real().MonotonicNs();
  if (phase_ == Phase::kLingering) return ArmRead();
  Process();
}

// --- writing ---

// Hands collected output to the socket as far as it takes it at once. True when everything is written.
bool Session::Flush() {
  if (phase_ == Phase::kClosed || write_armed_) return false;
  if (!out_.empty() || !out_body_.empty()) {
    writing_.swap(out_);
    writing_body_.swap(out_body_);
    writing_traces_.swap(out_traces_);
    out_.clear();
    out_body_.clear();
    written_ = 0;
    ArmWrite();
    if (write_armed_ || phase_ == Phase::kClosed) return false;
  }
  AfterFlush();
  return phase_ != Phase::kClosed && phase_ != Phase::kLingering;
}

// Writes until all is written or the socket is full; then goes on when it has room.
void Session::ArmWrite() {
  const size_t total = writing_.size() + writing_body_.size();
  while (written_ < total) {
    std::array<boost::asio::const_buffer, 2> buffers;
    if (written_ < writing_.size()) {
      buffers = {boost::asio::buffer(writing_.data() + written_, writing_.size() - written_),
                 boost::asio::buffer(writing_body_)};
    } else {
      const size_t at = written_ - writing_.size();
      buffers = {boost::asio::buffer(writing_body_.data() + at, writing_body_.size() - at),
                 boost::asio::const_buffer()};
    }
    boost::system::error_code error;
    const size_t n = socket_.write_some(buffers, error);
    if (error == boost::asio::error::would_block || error == boost::asio::error::try_again) {
      write_armed_ = true;
      last_write_ns_ = Clock::Real().MonotonicNs();
      socket_.async_wait(Socket::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& wait_error) {
                           self->write_armed_ = false;
                           if (self->phase_ == Phase::kClosed) return;
                           if (wait_error) return self->Abort();
                           self->ArmWrite();
                           if (self->write_armed_ || self->phase_ == Phase::kClosed) return;
                           if (self->phase_ == Phase::kStreaming) self->DrainStream();
                           self->Process();
                         });
      return;
    }
    if (error) return Abort();
    written_ += n;
  }
  writing_.clear();
  writing_body_ = {};
  FinishTraces(&writing_traces_);
}

// The time since their last mark was that of the writing.
void Session::FinishTraces(std::vector<std::unique_ptr<Trace>>* traces) {
  if (traces->empty()) return;
  const int64_t now_ns = Clock::Real().MonotonicNs();
  for (std::unique_ptr<Trace>& trace : *traces) {
    trace->Mark(Stage::kWrite, now_ns);
    if (shared_.record_trace) shared_.record_trace(std::move(trace));
  }
  traces->clear();
}

void Session::AfterFlush() {
  if (!close_after_write_ || phase_ != Phase::kHead) return;
  if (!linger_) return Close();
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  phase_ = Phase::kLingering;
  idle_since_ns_ = Clock::Real().MonotonicNs();
}

// --- server-sent events ---

bool Session::SendPiece(std::string_view events) {
  if (closed_.load(std::memory_order_acquire)) return false;
  bool post = false;
  bool overflow = false;
  {
    MutexLock lock(stream_mu_);
    overflow = stream_pending_.size() + events.size() > shared_.config.limits.max_stream_backlog_bytes;
    if (!overflow) stream_pending_ += events;
    post = !stream_posted_;
    stream_posted_ = true;
  }
  stream_begun_.store(true, std::memory_order_relaxed);
  // The client does not read what it asked for: holding more helps nobody.
  if (overflow) {
    loop_->Post([self = shared_from_this()] { self->Abort(); });
    return false;
  }
  if (post) loop_->Post([self = shared_from_this()] { self->DrainStream(); });
  return true;
}

void Session::BeginStream() {
  if (phase_ != Phase::kHandling) return;
  if (shared_.draining.load(std::memory_order_relaxed) || request_.minor_version == 0)
    request_.keep_alive = false;
  AppendResponseHead({.status = 200,
                      .minor_version = request_.minor_version,
                      .keep_alive = request_.keep_alive,
                      .content_type = "text/event-stream; charset=utf-8",
                      .content_length = -1,
                      .request_id = request_.request_id,
                      .cors_origin = shared_.config.cors_origin,
                      .server = shared_.server_field},
                     &out_);
  phase_ = Phase::kStreaming;
  stream_bytes_ = 0;
}

void Session::AppendStreamPiece(std::string_view events) {
  if (events.empty()) return;
  stream_bytes_ += events.size();
  if (request_.minor_version == 0) {
    out_ += events;
    return;
  }
  std::array<char, 20> size;
  const int n = std::snprintf(size.data(), size.size(), "%zx\r\n", events.size());
  out_.append(size.data(), static_cast<size_t>(n));
  out_ += events;
  out_ += "\r\n";
}

// Moves pending text to the socket, unless a write is under way: then it waits in the bounded backlog.
void Session::DrainStream() {
  std::string pending;
  {
    MutexLock lock(stream_mu_);
    stream_posted_ = false;
    if (phase_ == Phase::kClosed || write_armed_) return;
    pending.swap(stream_pending_);
  }
  if (pending.empty() || (phase_ != Phase::kHandling && phase_ != Phase::kStreaming)) return;
  BeginStream();
  AppendStreamPiece(pending);
  Flush();
}

void Session::EndStream(std::string_view events) {
  if (phase_ != Phase::kHandling && phase_ != Phase::kStreaming) return;
  std::string pending;
  {
    MutexLock lock(stream_mu_);
    pending.swap(stream_pending_);
  }
  BeginStream();
  AppendStreamPiece(pending);
  AppendStreamPiece(events);
  if (request_.minor_version > 0) out_ += "0\r\n\r\n";
  stream_begun_.store(false, std::memory_order_relaxed);
  CompleteRequest(200, stream_bytes_);
}

// --- time and end ---

void Session::OnTick(int64_t now_ns) {
  const Limits& limits = shared_.config.limits;
  if (write_armed_ && now_ns - last_write_ns_ > Ns(limits.write_timeout)) return Abort();
  switch (phase_) {
    case Phase::kHead:
      if (write_armed_ || close_after_write_) return;
      if (head_since_ns_ == 0) {
        if (now_ns - idle_since_ns_ > Ns(limits.idle_timeout)) Close();
      } else if (now_ns - head_since_ns_ > Ns(limits.head_timeout)) {
        ForgetRequest();
        SendError(408, "request_timeout", "the request's head did not arrive in time", true);
      }
      return;
    case Phase::kBody: {
      const int64_t since = now_ns - std::max(last_read_ns_, body_since_ns_);
      const auto received = static_cast<double>(body_received_);
      const double allowed =
          static_cast<double>(Ns(limits.body_timeout)) +
          received / static_cast<double>(std::max<size_t>(limits.min_body_bytes_per_second, 1)) * 1e9;
      if (since > Ns(limits.body_timeout) || static_cast<double>(now_ns - body_since_ns_) > allowed) {
        SendError(
            408, "request_timeout",
            "the request's body arrived too slowly: " + std::to_string(body_received_) + " bytes so far",
            true);
      }
      return;
    }
    case Phase::kLingering:
      if (now_ns - idle_since_ns_ > Ns(limits.linger_timeout)) Close();
      return;
    default:
      return;
  }
}

void Session::BeginDrain() {
  if (phase_ == Phase::kHead && head_since_ns_ == 0 && !write_armed_ && Unread().empty()) Close();
}

void Session::Abort() {
  if (phase_ == Phase::kHandling || phase_ == Phase::kStreaming) {
    cancel_->Cancel();
    shared_.metrics.in_flight().Decrement();
    shared_.metrics.RecordRequest(request_.target.route, 499, Clock::Real().MonotonicNs() - handle_since_ns_,
                                  body_received_, phase_ == Phase::kStreaming ? stream_bytes_ : 0);
    if (shared_.config.access_log) {
      shared_.config.access_log({.method = request_.method,
                                 .path = request_.target.path,
                                 .status = 499,
                                 .bytes_in = body_received_,
                                 .bytes_out = 0,
                                 .duration_ns = Clock::Real().MonotonicNs() - handle_since_ns_,
                                 .request_id = request_.request_id,
                                 .peer = peer_});
    }
  }
  Close();
}

void Session::Close() {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  phase_ = Phase::kClosed;
  closed_.store(true, std::memory_order_release);
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  shared_.body_bytes.fetch_sub(body_reserved_);
  body_reserved_ = 0;
  FinishTraces(&writing_traces_);
  FinishTraces(&out_traces_);
  if (counted_) {
    counted_ = false;
    shared_.connections.fetch_sub(1);
    shared_.metrics.connections().Decrement();
  }
  loop_->Remove(this);
}

}  // namespace mlos::frontend
