// SPDX-License-Identifier: Apache-2.0
// Destroys models on a thread of its own. The last handle of a model may be dropped inside a call from that very model's
// plugin, where waiting for the model's calls to end would wait for itself.
#pragma once

#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "model/loaded_model.h"

namespace mlos::model {

// Thread-safe.
class Reaper {
 public:
  Reaper();
  // Waits until everything given to Share is destroyed.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // A shared handle, and a future that is ready once the model is destroyed.
  std::pair<std::shared_ptr<LoadedModel>, std::shared_future<void>> Share(std::unique_ptr<LoadedModel> model);

 private:
  struct Dead {
    LoadedModel* model;
    std::promise<void> gone;
  };
  void Loop();

  Mutex mu_;
  CondVar changed_;
  std::vector<Dead> dead_ MLOS_GUARDED_BY(mu_);
  size_t alive_ MLOS_GUARDED_BY(mu_) = 0;
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace mlos::model
