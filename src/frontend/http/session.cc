// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/session.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "frontend/common/error_map.h"
#include "frontend/common/request_id.h"
#include "frontend/http/response_head.h"
#include "wire/json_response.h"

namespace mlos::frontend {
namespace {

// Small bodies of refused requests are read and dropped, so that the connection can stay open.
constexpr uint64_t kDroppableBodyBytes = size_t{64} << 10;
// Answers larger than this go to the socket without being copied behind their head.
constexpr size_t kCopiedAnswerBytes = size_t{16} << 10;
// Pipelined answers are collected up to this size.
constexpr size_t kCollectedAnswerBytes = size_t{64} << 10;

std::string MediaType(std::string_view content_type) {
  std::string out(content_type.substr(0, content_type.find(';')));
  while (!out.empty() && (out.back() == ' ' || out.back() == '\t')) out.pop_back();
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  return out;
}

std::string_view CodeOfHeadError(int status) {
  switch (status) {
    case 414:
    case 431:
      return "too_large";
    case 417:
      return "expectation_failed";
    case 501:
    case 505:
      return "unimplemented";
    default:
      return "invalid_argument";
  }
}

}  // namespace

Session::Session(std::shared_ptr<IoLoop> loop, std::shared_ptr<ServerShared> shared, Socket socket,
                 std::string peer)
    : loop_(std::move(loop)),
      owned_shared_(std::move(shared)),
      shared_(*owned_shared_),
      peer_(std::move(peer)),
      socket_(std::move(socket)) {}

Session::~Session() = default;

void Session::Start() {
  loop_->Add(this);
  idle_since_ns_ = last_read_ns_ = last_write_ns_ = Clock::Real().MonotonicNs();
  cancel_ = std::make_shared<CancelToken>();
  counted_ = true;
  shared_.metrics.connections().Increment();
  if (shared_.connections.fetch_add(1) >= shared_.config.limits.max_connections) {
    NewRequestId(&request_.request_id);
    SendError(503, "unavailable", "too many connections; retry later", true);
    return;
  }
  ArmRead();
}

void Session::Post(std::function<void()> f) {
  if (closed_.load(std::memory_order_acquire)) return;
  loop_->Post([self = shared_from_this(), f = std::move(f)] {
    if (self->phase_ != Phase::kClosed) f();
  });
}

// --- the state machine ---

// Works off what was read, then writes, then reads on. Never nested: an answer given inside returns to the loop here.
void Session::Process() {
  if (in_process_ || phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  in_process_ = true;
  do {
    held_back_ = false;
    while (Step()) {
    }
  } while (Flush() && held_back_);
  in_process_ = false;
  ArmRead();
}

bool Session::Step() {
  switch (phase_) {
    case Phase::kHead:
      return StepHead();
    case Phase::kBody:
      return StepBody();
    default:
      return false;
  }
}

bool Session::StepHead() {
  if (close_after_write_) return false;
  if (out_.size() >= kCollectedAnswerBytes || !out_body_.empty() || write_armed_) {
    held_back_ = !Unread().empty();
    return false;
  }
  // RFC 9112, 2.2: empty lines before a request are skipped.
  while (head_scanned_ == 0 && Unread().starts_with("\r\n")) in_begin_ += 2;
  if (Unread().empty()) return false;
  if (head_since_ns_ == 0) head_since_ns_ = last_read_ns_;
  HeadError error;
  const size_t end = FindHeadEnd(Unread(), &head_scanned_, &error);
  const size_t size = end > 0 ? end : Unread().size();
  if (error.status == 0 && size > shared_.config.limits.max_head_bytes) {
    const size_t limit = shared_.config.limits.max_head_bytes;
    const bool line_done = Unread().substr(0, limit).find('\n') != std::string_view::npos;
    error = {line_done ? 431 : 414,
             "the request line and header fields have more than " + std::to_string(limit) + " bytes"};
  }
  if (error.status != 0) {
    ForgetRequest();
    SendError(error.status, CodeOfHeadError(error.status), error.message, true);
    return false;
  }
  if (end == 0) return false;
  BeginRequest(end);
  return true;
}

// For an answer to what could not be read as a request.
void Session::ForgetRequest() {
  request_ = {};
  NewRequestId(&request_.request_id);
  reply_to_head_ = false;
  body_received_ = 0;
  head_since_ns_ = 0;
}

void Session::BeginRequest(size_t head_bytes) {
  handle_since_ns_ = Clock::Real().MonotonicNs();
  const HeadError error =
      ParseRequestHead(Unread().substr(0, head_bytes), shared_.config.limits.max_header_fields, &head_);
  ReadHeadIntoRequest();
  request_.received_ns = head_since_ns_;
  in_begin_ += head_bytes;
  head_scanned_ = 0;
  head_since_ns_ = 0;
  body_received_ = 0;
  if (error.status != 0) {
    request_.keep_alive = false;
    return SendError(error.status, CodeOfHeadError(error.status), error.message, true);
  }
  phase_ = Phase::kBody;
  body_since_ns_ = handle_since_ns_;
  if (!BeginBody()) return;
  if (head_.expect_continue) SendContinue();
}

// Copies what is needed of head_, whose views end with the input's next move.
void Session::ReadHeadIntoRequest() {
  request_.method = head_.method;
  request_.raw_target = head_.target;
  request_.target = ParseTarget(request_.raw_target);
  request_.content_type = MediaType(head_.content_type);
  request_.deadline_ms = head_.deadline_ms;
  request_.priority = head_.priority;
  request_.model_keep_alive = head_.model_keep_alive;
  request_.minor_version = head_.minor_version;
  request_.keep_alive = head_.keep_alive;
  request_.body = {};
  if (IsSaneRequestId(head_.request_id)) {
    request_.request_id = head_.request_id;
  } else {
    NewRequestId(&request_.request_id);
  }
  reply_to_head_ = request_.method == "HEAD";
}

// Decides how the body is read, or answers at once: nothing of a body that will be refused is waited for.
bool Session::BeginBody() {
  const Limits& limits = shared_.config.limits;
  body_length_ = head_.has_content_length ? head_.content_length : 0;
  body_kind_ = BodyKind::kNone;
  // How a refusal can go on: the connection stays when little or nothing is left to drop.
  const bool pending = head_.chunked || body_length_ > 0;
  const bool close =
      pending && (head_.chunked || head_.expect_continue || body_length_ > kDroppableBodyBytes);
  if (body_length_ > limits.max_body_bytes) {
    SendError(413, "too_large",
              "the body has " + std::to_string(body_length_) + " bytes, this server takes " +
                  std::to_string(limits.max_body_bytes),
              true);
    return false;
  }
  if (close &&
      (request_.target.route == Route::kUnknown || !RouteAllows(request_.target.route, request_.method))) {
    // The route answers 404 or 405 without the body.
    request_.keep_alive = false;
    linger_ = true;
    Handle();
    return false;
  }
  if (!head_.content_encoding.empty()) {
    SendError(415, "unsupported_media_type",
              "Content-Encoding '" + std::string(head_.content_encoding) + "': send the body as it is",
              close || pending);
    return false;
  }
  if (head_.chunked) {
    body_kind_ = BodyKind::kChunked;
    chunks_ = {};
  } else if (body_length_ > 0 && body_length_ <= kInPlaceBytes) {
    body_kind_ = BodyKind::kInPlace;
  } else if (body_length_ > 0) {
    body_kind_ = BodyKind::kBuffered;
    if (!ReserveBody(static_cast<size_t>(body_length_))) return false;
    body_ = loop_->bodies().Take(static_cast<size_t>(body_length_));
  }
  return true;
}

void Session::SendContinue() {
  const bool complete =
      body_kind_ == BodyKind::kNone || (body_kind_ != BodyKind::kChunked && Unread().size() >= body_length_);
  if (!complete) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

bool Session::StepBody() {
  switch (body_kind_) {
    case BodyKind::kNone:
      break;
    case BodyKind::kInPlace:
      body_received_ = std::min<size_t>(Unread().size(), static_cast<size_t>(body_length_));
      if (body_received_ < body_length_) return false;
      request_.body = Unread().substr(0, body_received_);
      break;
    case BodyKind::kBuffered: {
      const size_t n = std::min<size_t>(Unread().size(), static_cast<size_t>(body_length_) - body_received_);
      if (n > 0) std::memcpy(body_.data.get() + body_received_, Unread().data(), n);
      in_begin_ += n;
      body_received_ += n;
      if (body_received_ < body_length_) return false;
      request_.body = {body_.data.get(), body_received_};
      break;
    }
    case BodyKind::kChunked:
      if (!PullChunked()) return false;
      request_.body = {body_.data.get(), body_received_};
      break;
  }
  Handle();
  return phase_ == Phase::kHead;
}

bool Session::PullChunked() {
  while (true) {
    std::string_view input = Unread();
    std::string_view data;
    const ChunkedDecoder::State state = chunks_.Next(&input, &data);
    in_begin_ = in_end_ - input.size();
    switch (state) {
      case ChunkedDecoder::State::kMore:
        return false;
      case ChunkedDecoder::State::kDone:
        return true;
      case ChunkedDecoder::State::kBad:
        SendError(400, "invalid_argument",
                  "malformed chunked body after " + std::to_string(body_received_) + " bytes", true);
        return false;
      case ChunkedDecoder::State::kData:
        if (!AppendToBody(data)) return false;
    }
  }
}

bool Session::AppendToBody(std::string_view data) {
  const size_t limit = shared_.config.limits.max_body_bytes;
  if (data.size() > limit - body_received_) {
    SendError(413, "too_large", "the chunked body has more than " + std::to_string(limit) + " bytes", true);
    return false;
  }
  const size_t wanted = body_received_ + data.size();
  if (wanted > body_.capacity) {
    const size_t capacity = std::min(std::max(wanted, body_.capacity * 2), limit);
    if (!ReserveBody(capacity)) return false;
    BodyBuffer bigger = loop_->bodies().Take(capacity);
    if (body_received_ > 0) std::memcpy(bigger.data.get(), body_.data.get(), body_received_);
    loop_->bodies().Give(std::move(body_));
    body_ = std::move(bigger);
  }
  std::memcpy(body_.data.get() + body_received_, data.data(), data.size());
  body_received_ = wanted;
  return true;
}

// Makes the request's share of all bodies `bytes`; 503 when that is too much.
bool Session::ReserveBody(size_t bytes) {
  const size_t more = bytes - body_reserved_;
  const size_t before = shared_.body_bytes.fetch_add(more);
  body_reserved_ += more;
  if (before + more <= shared_.config.limits.max_total_body_bytes) return true;
  SendError(503, "unavailable", "the requests in flight hold too much memory; retry later", true);
  return false;
}

void Session::ReleaseBody() {
  if (body_kind_ == BodyKind::kInPlace) in_begin_ += request_.body.size();
  request_.body = {};
  body_kind_ = BodyKind::kNone;
  shared_.body_bytes.fetch_sub(body_reserved_);
  body_reserved_ = 0;
  if (reading_body_) {
    parked_body_ = std::move(body_);
  } else {
    loop_->bodies().Give(std::move(body_));
  }
  body_ = {};
}

void Session::Handle() {
  phase_ = Phase::kHandling;
  shared_.metrics.in_flight().Increment();
  shared_.handler->Handle(shared_from_this());
}

// --- answers ---

void Session::SendError(int status, std::string_view code, const std::string& message, bool close) {
  if (close) {
    request_.keep_alive = false;
    linger_ = true;
  }
  if (phase_ != Phase::kHandling) {
    // Balanced in CompleteRequest.
    shared_.metrics.in_flight().Increment();
    phase_ = Phase::kHandling;
  }
  Send({status, wire::EncodeError(code, message, request_.target.model_id, request_.request_id)});
}

void Session::Send(HttpResponse response) {
  if (phase_ != Phase::kHandling) return;
  std::string body = std::move(response.body);
  const size_t size = body.size();
  WriteAnswer(response, std::move(body));
  CompleteRequest(response.status, reply_to_head_ ? 0 : size);
}

void Session::WriteAnswer(const HttpResponse& response, std::string body) {
  if (shared_.draining.load(std::memory_order_relaxed)) request_.keep_alive = false;
  const bool methods = response.status == 405 || request_.method == "OPTIONS";
  AppendResponseHead({.status = response.status,
                      .minor_version = request_.minor_version,
                      .keep_alive = request_.keep_alive,
                      .content_type = body.empty() ? std::string_view() : response.content_type,
                      .content_length = static_cast<int64_t>(body.size()),
                      .request_id = request_.request_id,
                      .retry_after_s = response.retry_after_s > 0 ? response.retry_after_s
                                                                  : RetryAfterSeconds(response.status),
                      .allow = methods ? RouteMethods(request_.target.route) : std::string_view(),
                      .cors_origin = shared_.config.cors_origin,
                      .server = shared_.server_field},
                     &out_);
  if (reply_to_head_) return;
  if (body.size() <= kCopiedAnswerBytes) {
    out_ += body;
  } else {
    out_body_ = std::move(body);
  }
}

void Session::CompleteRequest(int status, uint64_t bytes_out) {
  const int64_t now = Clock::Real().MonotonicNs();
  const int64_t duration = handle_since_ns_ > 0 ? now - handle_since_ns_ : 0;
  shared_.metrics.in_flight().Decrement();
  shared_.metrics.RecordRequest(request_.target.route, status, duration, body_received_, bytes_out);
  if (shared_.config.access_log) {
    shared_.config.access_log({.method = request_.method,
                               .path = request_.target.path,
                               .status = status,
                               .bytes_in = body_received_,
                               .bytes_out = bytes_out,
                               .duration_ns = duration,
                               .request_id = request_.request_id,
                               .peer = peer_});
  }
  if (trace_ != nullptr) out_traces_.push_back(std::move(trace_));
  if (!request_.keep_alive) close_after_write_ = true;
  // A token that someone may still hold is not used again.
  if (cancel_.use_count() > 1) cancel_ = std::make_shared<CancelToken>();
  ReleaseBody();
  phase_ = Phase::kHead;
  idle_since_ns_ = now;
  handle_since_ns_ = 0;
  Process();
}

}  // namespace mlos::frontend
