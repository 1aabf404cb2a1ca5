// SPDX-License-Identifier: Apache-2.0
// A worker's life, from its first word to the host to its last. docs/formats/worker.md.
//
//   hello -> welcomed -> opened -> (loading) -> loaded -> unloaded
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "plugin/deadline_timer.h"
#include "plugin/plugin_library.h"
#include "worker/call_pool.h"
#include "worker/link/channel.h"

namespace mlos::worker {

// One thread runs the event loop; loading and calls have threads of their own, so that the heart beats on.
class Session {
 public:
  explicit Session(os::LocalSocket socket) : channel_(std::move(socket)) {}
  ~Session();

  // Returns when the host has asked for the end (OK) or is gone, or what it says makes no sense.
  Status Run();

 private:
  Status Greet();
  std::vector<int> OpenFiles() const;
  Status OpenPlugin();
  Status Handle(const Channel::Incoming& message);
  void Beat();
  void LoadModel(const Load& load);
  void Estimate(const Load& load);
  void Unload();
  void Refuse(const Status& status);

  Channel channel_;
  Welcome welcome_;
  SharedParts parts_;
  std::shared_ptr<plugin::PluginLibrary> library_;
  const std::shared_ptr<plugin::DeadlineTimer> timer_ = std::make_shared<plugin::DeadlineTimer>();
  bool ended_ = false;
  std::thread busy_;  // loads or estimates

  Mutex mu_;
  std::unique_ptr<plugin::Instance> instance_ MLOS_GUARDED_BY(mu_);
  std::unique_ptr<CallPool> pool_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::worker
