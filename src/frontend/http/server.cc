// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/server.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <future>
#include <thread>

#include "frontend/http/io_loop.h"
#include "frontend/http/listener.h"
#include "frontend/http/routes.h"
#include "frontend/http/session.h"

namespace mlos::frontend {
namespace {

using std::chrono::milliseconds;

int ChooseIoThreads(int wanted) {
  if (wanted > 0) return std::min(wanted, 256);
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / 2, 1, 4);
}

// Short enough to see the shortest timeout pass, long enough to cost nothing.
milliseconds ChooseTick(const Limits& limits) {
  const milliseconds shortest = std::min({limits.head_timeout, limits.body_timeout, limits.idle_timeout,
                                          limits.write_timeout, limits.linger_timeout});
  return std::clamp(shortest / 4, milliseconds(5), milliseconds(250));
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(const HttpConfig& config, serving::Service& service)
      : control_(static_cast<size_t>(std::clamp(config.control_threads, 1, 64))),
        shared_(std::make_shared<ServerShared>()),
        routes_(service, *shared_,
                [this](std::function<void()> work) { boost::asio::post(control_, std::move(work)); }) {
    shared_->config = config;
    shared_->server_field = "mlos-core/" + config.version;
    shared_->handler = &routes_;
    shared_->record_trace = [&service](std::unique_ptr<Trace> trace) {
      service.RecordTrace(std::move(trace));
    };
    for (int i = 0; i < ChooseIoThreads(config.io_threads); ++i)
      loops_.push_back(std::make_shared<IoLoop>(ChooseTick(config.limits)));
  }

  ~HttpServerImpl() override { Drain(milliseconds(0)); }

  Status Listen() {
    MLOS_ASSIGN_OR_RETURN(
        listener_,
        Listener::Open(
            shared_->config, loops_,
            [this](const std::shared_ptr<IoLoop>& loop, Session::Socket socket, std::string peer) {
              if (shared_->draining.load()) return;
              std::make_shared<Session>(loop, shared_, std::move(socket), std::move(peer))->Start();
            }));
    routes_.set_port(listener_->endpoints().front().port);
    for (const auto& loop : loops_) loop->Start();
    loops_[0]->Post([this] { listener_->Start(); });
    return OkStatus();
  }

  std::vector<Endpoint> endpoints() const override { return listener_->endpoints(); }

  void Drain(milliseconds deadline) override {
    MutexLock lock(drain_mu_);
    if (drained_) return;
    drained_ = true;
    shared_->draining.store(true);
    if (listener_ != nullptr) {
      OnLoop(*loops_[0], [this] { listener_->Close(); });
      WaitUntilClosed(deadline);
      for (const auto& loop : loops_) {
        OnLoop(*loop, [&loop] { loop->ForEachSession([](Session& session) { session.Abort(); }); });
      }
    }
    // Control work holds the service: it is finished, not dropped.
    control_.join();
    for (const auto& loop : loops_) loop->Stop();
  }

 private:
  // Runs `f` on the loop's thread and waits for it.
  static void OnLoop(IoLoop& loop, const std::function<void()>& f) {
    std::promise<void> done;
    loop.Post([&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

  // Idle connections close at once, the others after their answer.
  void WaitUntilClosed(milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    constexpr milliseconds kStep{5};
    while (true) {
      for (const auto& loop : loops_) {
        OnLoop(*loop, [&loop] { loop->ForEachSession([](Session& session) { session.BeginDrain(); }); });
      }
      if (shared_->connections.load() == 0 || std::chrono::steady_clock::now() >= end) return;
      std::this_thread::sleep_for(kStep);
    }
  }

  boost::asio::thread_pool control_;
  const std::shared_ptr<ServerShared> shared_;
  Routes routes_;
  std::vector<std::shared_ptr<IoLoop>> loops_;
  std::unique_ptr<Listener> listener_;
  Mutex drain_mu_;
  bool drained_ MLOS_GUARDED_BY(drain_mu_) = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpConfig& config, serving::Service& service) {
  auto server = std::make_unique<HttpServerImpl>(config, service);
  MLOS_RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace mlos::frontend
