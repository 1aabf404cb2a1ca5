// SPDX-License-Identifier: Apache-2.0
// One I/O thread: an event loop, the connections that live on it, and the clock tick that ends slow ones.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>

#include "frontend/http/body_pool.h"

namespace mlos::frontend {

class Session;

class IoLoop {
 public:
  explicit IoLoop(std::chrono::milliseconds tick);
  ~IoLoop();
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  void Start();
  // Stops and joins the thread, drops what was posted. Not on the loop's own thread.
  void Stop();

  // Any thread. Nothing happens once the loop has stopped.
  void Post(std::function<void()> f);
  bool OnThread() const { return current_ == this; }
  boost::asio::io_context& context() { return context_; }

  // The loop's thread only.
  void Add(Session* session) { sessions_.insert(session); }
  void Remove(Session* session) { sessions_.erase(session); }
  // Calls `f` with each session; `f` may close it.
  void ForEachSession(const std::function<void(Session&)>& f);
  BodyPool& bodies() { return bodies_; }

 private:
  void Serve();
  void ArmTick();

  static thread_local IoLoop* current_;

  const std::chrono::milliseconds tick_;
  boost::asio::io_context context_{1};
  boost::asio::steady_timer timer_;
  std::unordered_set<Session*> sessions_;
  BodyPool bodies_;
  std::thread thread_;
  std::atomic<bool> stopped_{false};
};

}  // namespace mlos::frontend
