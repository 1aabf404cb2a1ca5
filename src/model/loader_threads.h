// SPDX-License-Identifier: Apache-2.0
// The threads that models are loaded on.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace mlos::model {

// Thread-safe. First in, first out.
class LoaderThreads {
 public:
  explicit LoaderThreads(int threads);
  ~LoaderThreads() { Stop(); }
  LoaderThreads(const LoaderThreads&) = delete;
  LoaderThreads& operator=(const LoaderThreads&) = delete;

  // False after Stop: `work` will not run.
  bool Run(std::function<void()> work);
  // Runs what was given, then ends the threads. Not from one of them.
  void Stop();

 private:
  void Loop();

  Mutex mu_;
  CondVar changed_;
  std::deque<std::function<void()>> work_ MLOS_GUARDED_BY(mu_);
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mlos::model
