// SPDX-License-Identifier: Apache-2.0
// One round after another: a futex and an eventfd ping-pong between two processes, a model in this process, the same model in a
// worker. Prints one JSON line a round, times in microseconds.
// usage: bench_worker_overhead PLUGIN_DIR PLUGIN MODEL_FILE FORMAT ROUNDS REQUESTS SPIN_US
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "os/child_process.h"
#include "os/futex.h"
#include "plugin/instance.h"

namespace {

using namespace mlos;
using Clock = std::chrono::steady_clock;

// Another process that answers every ping: the least that crossing to a worker and back can cost here.
class Echo {
 public:
  Echo()
      : words_(static_cast<Words*>(
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    new (words_) Words;
    ping_ = eventfd(0, 0);
    pong_ = eventfd(0, 0);
    child_ = fork();
    if (child_ != 0) return;
    os::EndWithParent();
    // One of the two is used at a time; each has a thread of its own.
    if (fork() == 0) {
      os::EndWithParent();
      while (true) {
        uint64_t count = 0;
        if (read(ping_, &count, sizeof count) < 0 || write(pong_, &count, sizeof count) < 0) _exit(0);
      }
    }
    for (uint32_t n = 0;; ++n) {
      while (words_->ping.load() == n) os::FutexWait(words_->ping, n, -1);
      words_->pong.store(n + 1);
      os::FutexWake(words_->pong, 1);
    }
  }
  ~Echo() { Stop(); }

  void Futex() {
    const uint32_t n = words_->ping.load();
    words_->ping.store(n + 1);
    os::FutexWake(words_->ping, 1);
    while (words_->pong.load() == n) os::FutexWait(words_->pong, n, -1);
  }
  void Eventfd() {
    uint64_t count = 1;
    if (write(ping_, &count, sizeof count) < 0 || read(pong_, &count, sizeof count) < 0) std::abort();
  }

 private:
  struct Words {
    alignas(64) std::atomic<uint32_t> ping{0};
    alignas(64) std::atomic<uint32_t> pong{0};
  };
  void Stop() const {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Words* words_;
  int ping_ = -1;
  int pong_ = -1;
  pid_t child_ = -1;
};

class Sink final : public ResponseSink {
 public:
  explicit Sink(std::atomic<int>* done) : done_(done) {}
  void OnDone(Status status, Response) override {
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      std::exit(1);
    }
    done_->store(1);
  }

 private:
  std::atomic<int>* done_;
};

void Ask(plugin::Instance& instance) {
  Request request;
  // As the scheduler has it for a model this short.
  request.n_threads = 1;
  for (const TensorSpec& spec : instance.interface().inputs) {
    if (spec.optional) continue;
    Shape shape = spec.shape;
    for (int64_t& dim : shape) dim = std::max<int64_t>(dim, 1);
    auto tensor = Tensor::Allocate(spec.dtype, shape, instance.interface().input_arena);
    if (!tensor.ok()) std::exit(1);
    std::ranges::fill(tensor->data(), std::byte{0});
    request.inputs.push_back({spec.name, std::move(*tensor)});
  }
  std::atomic<int> done{0};
  instance.Run(std::move(request), std::make_unique<Sink>(&done));
  if (done.load() == 0) std::exit(1);
}

template <typename F>
void Measure(const char* name, int requests, F ask) {
  std::vector<double> us;
  for (int i = 0; i < requests + requests / 10; ++i) {
    const auto start = Clock::now();
    ask();
    if (i >= requests / 10)
      us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::ranges::sort(us);
  std::printf("%s\"%s\":{\"p50\":%.2f,\"p99\":%.2f,\"min\":%.2f}", std::string(name) == "futex" ? "{" : ",",
              name, us[us.size() / 2], us[us.size() * 99 / 100], us[0]);
}

std::unique_ptr<plugin::PluginRegistry> Open(const char* dir, plugin::Isolation isolation, int spin_us) {
  plugin::OpenOptions options;
  options.isolation = isolation;
  options.worker.program = std::filesystem::path(dir).parent_path() / "mlos-worker";
  options.worker.spin_us = spin_us;
  auto registry = plugin::PluginRegistry::Open({dir}, options, nullptr);
  if (registry.ok()) return std::move(*registry);
  std::fprintf(stderr, "%s\n", registry.status().ToString().c_str());
  std::exit(1);
}

std::unique_ptr<plugin::Instance> Load(plugin::PluginRegistry& registry, char** argv) {
  plugin::LoadOptions load;
  load.model_path = argv[3];
  load.package_dir = load.model_path.parent_path();
  load.format = argv[4];
  auto instance = registry.Load(argv[2], load);
  if (instance.ok()) return std::move(*instance);
  std::fprintf(stderr, "%s\n", instance.status().ToString().c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: %s PLUGIN_DIR PLUGIN MODEL_FILE FORMAT ROUNDS REQUESTS SPIN_US\n", argv[0]);
    return 2;
  }
  const int requests = std::max(std::atoi(argv[6]), 10);
  Echo echo;
  const auto here = Open(argv[1], plugin::Isolation::kNone, 0);
  const auto there = Open(argv[1], plugin::Isolation::kProcess, std::atoi(argv[7]));
  const auto local = Load(*here, argv);
  const auto remote = Load(*there, argv);
  for (int round = 0; round < std::atoi(argv[5]); ++round) {
    Measure("futex", requests, [&] { echo.Futex(); });
    Measure("eventfd", requests, [&] { echo.Eventfd(); });
    Measure("local", requests, [&] { Ask(*local); });
    Measure("worker", requests, [&] { Ask(*remote); });
    std::printf("}\n");
    std::fflush(stdout);
  }
  return 0;
}
