// SPDX-License-Identifier: Apache-2.0
// One connection. Lives on one I/O thread; handles one request at a time, in order.
//
//   kHead -> kBody -> kHandling -> kHead ...        answers may be queued while the next request is read
//                        |-> kStreaming -> kHead    server-sent events
//   any -> kLingering -> kClosed                    an early answer: the rest of the request is read and dropped
//   any -> kClosed
#pragma once

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "frontend/http/body_pool.h"
#include "frontend/http/chunked.h"
#include "frontend/http/exchange.h"
#include "frontend/http/io_loop.h"
#include "frontend/http/metrics.h"
#include "frontend/http/request_head.h"
#include "frontend/http/server.h"

namespace mlos::frontend {

// What all connections share.
struct ServerShared {
  HttpConfig config;
  std::string server_field;  // "mlos-core/1.2.3"
  HttpMetrics metrics;
  RequestHandler* handler = nullptr;
  std::function<void(std::unique_ptr<Trace>)> record_trace;
  std::atomic<size_t> connections{0};
  std::atomic<size_t> body_bytes{0};
  std::atomic<bool> draining{false};
};

// A request whose head and body fit in this together is read without a body buffer.
inline constexpr size_t kInPlaceBytes = size_t{16} << 10;

class Session final : public Exchange, public std::enable_shared_from_this<Session> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  Session(std::shared_ptr<IoLoop> loop, std::shared_ptr<ServerShared> shared, Socket socket,
          std::string peer);
  ~Session() override;

  // All of these on the loop's thread. Start() counts the connection, or answers 503 when there are too many.
  void Start();
  void OnTick(int64_t now_ns);
  // Closes when idle; otherwise after the answer in work.
  void BeginDrain();
  // Cancels the request in work and closes.
  void Abort();

  // Exchange
  const HttpRequest& request() const override { return request_; }
  std::shared_ptr<CancelToken> cancel() override { return cancel_; }
  bool OnIoThread() const override { return loop_->OnThread(); }
  void Post(std::function<void()> f) override;
  void Send(HttpResponse response) override;
  bool SendPiece(std::string_view events) override;
  void EndStream(std::string_view events) override;
  void SetTrace(std::unique_ptr<Trace> trace) override { trace_ = std::move(trace); }
  bool StreamBegun() const override { return stream_begun_.load(std::memory_order_relaxed); }

 private:
  enum class Phase { kHead, kBody, kHandling, kStreaming, kLingering, kClosed };
  enum class BodyKind { kNone, kInPlace, kBuffered, kChunked };

  // --- the state machine: session.cc ---
  void Process();
  bool Step();
  bool StepHead();
  bool StepBody();
  void ForgetRequest();
  void BeginRequest(size_t head_bytes);
  void ReadHeadIntoRequest();
  bool BeginBody();
  void SendContinue();
  void Handle();
  void SendError(int status, std::string_view code, const std::string& message, bool close);
  void WriteAnswer(const HttpResponse& response, std::string body);
  void CompleteRequest(int status, uint64_t bytes_out);
  void ReleaseBody();

  // --- body: session.cc ---
  bool ReserveBody(size_t bytes);
  bool PullChunked();
  bool AppendToBody(std::string_view data);

  // --- the socket: session_io.cc ---
  std::string_view Unread() const { return {in_.get() + in_begin_, in_end_ - in_begin_}; }
  void ArmRead();
  void MakeRoom();
  void OnRead(size_t bytes, bool failed);
  bool Flush();
  void ArmWrite();
  void AfterFlush();
  void FinishTraces(std::vector<std::unique_ptr<Trace>>* traces);
  void DrainStream();
  void AppendStreamPiece(std::string_view events);
  void BeginStream();
  void Close();

  // Constant after construction.
  const std::shared_ptr<IoLoop> loop_;
  const std::shared_ptr<ServerShared> owned_shared_;
  ServerShared& shared_;
  const std::string peer_;

  // The loop's thread.
  Socket socket_;
  Phase phase_ = Phase::kHead;
  bool in_process_ = false;
  bool counted_ = false;
  bool reading_ = false;
  bool close_after_write_ = false;
  bool linger_ = false;     // read on before closing
  bool held_back_ = false;  // requests wait until the answers so far are written
  int64_t idle_since_ns_ = 0;
  int64_t head_since_ns_ = 0;  // 0: no byte of a request yet
  int64_t body_since_ns_ = 0;
  int64_t handle_since_ns_ = 0;
  int64_t last_read_ns_ = 0;
  int64_t last_write_ns_ = 0;

  // Input: bytes [in_begin_, in_end_) wait. Moved or grown only when no read is under way.
  std::unique_ptr<char[]> in_;
  size_t in_capacity_ = 0;
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  size_t head_scanned_ = 0;

  HttpRequest request_;
  RequestHead head_;
  BodyKind body_kind_ = BodyKind::kNone;
  uint64_t body_length_ = 0;  // Content-Length
  size_t body_received_ = 0;
  size_t body_reserved_ = 0;  // counted in shared_.body_bytes
  BodyBuffer body_;
  bool reading_body_ =
      false;  // the read under way goes into body_, or into parked_body_ when its request is over
  BodyBuffer parked_body_;
  ChunkedDecoder chunks_;
  std::shared_ptr<CancelToken> cancel_;
  bool reply_to_head_ = false;  // HEAD: the answer has no body

  // Output: collected, then handed over to the write under way.
  std::string out_;
  std::string out_body_;  // a large body that follows out_
  std::string writing_;
  std::string writing_body_;
  size_t written_ = 0;
  bool write_armed_ = false;
  uint64_t stream_bytes_ = 0;
  std::unique_ptr<Trace> trace_;                        // of the request in work
  std::vector<std::unique_ptr<Trace>> out_traces_;      // of the answers in out_
  std::vector<std::unique_ptr<Trace>> writing_traces_;  // of those in writing_

  // Any thread.
  std::atomic<bool> closed_{false};
  std::atomic<bool> stream_begun_{false};
  Mutex stream_mu_;
  std::string stream_pending_ MLOS_GUARDED_BY(stream_mu_);
  bool stream_posted_ MLOS_GUARDED_BY(stream_mu_) = false;
};

}  // namespace mlos::frontend
