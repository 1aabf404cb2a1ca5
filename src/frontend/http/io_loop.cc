// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/io_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <vector>

#include "base/clock.h"
#include "base/event_turn.h"
#include "frontend/http/session.h"

namespace mlos::frontend {

namespace {

// Events of a turn at most, so that who came first does not wait for all who come after.
constexpr int kTurnEvents = 64;

}  // namespace

thread_local IoLoop* IoLoop::current_ = nullptr;

IoLoop::IoLoop(std::chrono::milliseconds tick) : tick_(tick), timer_(context_) {}

IoLoop::~IoLoop() { Stop(); }

void IoLoop::Start() {
  ArmTick();
  thread_ = std::thread([this] {
    current_ = this;
    const auto work = boost::asio::make_work_guard(context_);
    Serve();
    current_ = nullptr;
  });
}

// Short models run on this thread at the end of a turn: the requests of all connections that had one are read by then, and may share
// an execution.
void IoLoop::Serve() {
  EventTurn turn;
  while (context_.run_one() > 0) {
    for (int i = 1; turn.pending() && i < kTurnEvents; ++i) {
      if (context_.poll_one() == 0) break;
    }
    turn.End();
  }
}

void IoLoop::Stop() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
  if (stopped_.exchange(true)) return;
  // What was posted holds sessions, which hold this loop: let it go.
  context_.restart();
  context_.poll();
}

void IoLoop::Post(std::function<void()> f) {
  if (!stopped_.load(std::memory_order_acquire)) boost::asio::post(context_, std::move(f));
}

void IoLoop::ForEachSession(const std::function<void(Session&)>& f) {
  // A session that closes leaves the set and may be destroyed.
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (Session* session : sessions_) all.push_back(session->shared_from_this());
  for (const auto& session : all) f(*session);
}

void IoLoop::ArmTick() {
  timer_.expires_after(tick_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (!sessions_.empty()) {
      const int64_t now = Clock::Real().MonotonicNs();
      ForEachSession([now](Session& session) { session.OnTick(now); });
    }
    ArmTick();
  });
}

}  // namespace mlos::frontend
