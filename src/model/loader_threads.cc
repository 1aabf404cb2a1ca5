// SPDX-License-Identifier: Apache-2.0
#include "model/loader_threads.h"

#include <utility>

namespace mlos::model {

LoaderThreads::LoaderThreads(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

bool LoaderThreads::Run(std::function<void()> work) {
  {
    MutexLock lock(mu_);
    if (stopping_) return false;
    work_.push_back(std::move(work));
  }
  changed_.NotifyOne();
  return true;
}

void LoaderThreads::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void LoaderThreads::Loop() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(mu_);
      while (work_.empty() && !stopping_) changed_.Wait(mu_);
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

}  // namespace mlos::model
