// SPDX-License-Identifier: Apache-2.0
#include "model/reaper.h"

namespace mlos::model {

Reaper::Reaper() : thread_([this] { Loop(); }) {}

Reaper::~Reaper() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

std::pair<std::shared_ptr<LoadedModel>, std::shared_future<void>> Reaper::Share(
    std::unique_ptr<LoadedModel> model) {
  auto gone = std::make_shared<std::promise<void>>();
  std::shared_future<void> future = gone->get_future().share();
  {
    MutexLock lock(mu_);
    ++alive_;
  }
  std::shared_ptr<LoadedModel> handle(model.release(), [this, gone](LoadedModel* dead) {
    {
      MutexLock lock(mu_);
      dead_.push_back({dead, std::move(*gone)});
    }
    changed_.NotifyAll();
  });
  return {std::move(handle), std::move(future)};
}

void Reaper::Loop() {
  while (true) {
    std::vector<Dead> batch;
    {
      MutexLock lock(mu_);
      while (dead_.empty() && !(stopping_ && alive_ == 0)) changed_.Wait(mu_);
      if (dead_.empty()) return;
      batch.swap(dead_);
    }
    for (Dead& dead : batch) {
      delete dead.model;
      dead.gone.set_value();
    }
    MutexLock lock(mu_);
    alive_ -= batch.size();
  }
}

}  // namespace mlos::model
