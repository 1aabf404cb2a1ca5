// SPDX-License-Identifier: Apache-2.0
// A worker process from its start to its end: greeted, asked to open a plugin, to estimate or to load. What happens to
// requests is worker_link.h's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "os/child_process.h"
#include "plugin/instance.h"
#include "plugin/worker_settings.h"
#include "worker/link/channel.h"
#include "worker/link/layout.h"
#include "worker/link/shared_arena.h"

namespace mlos::plugin {

// The program that hosts models: settings.program when set, which must exist; else where installations put it.
Result<std::filesystem::path> FindWorkerProgram(const WorkerSettings& settings);

// For one thread, Channel::Send excepted. The destructor kills the process. The process is bound to the thread that starts it:
// it dies when that thread ends.
class WorkerProcess {
 public:
  // Checked while waiting; true gives up with kCancelled. May be empty.
  using StopFn = std::function<bool()>;

  // Starts the program and agrees on a version. `title` shows in the process list. `log` gets what the worker logs. The
  // worker maps `inputs` read-only; whether it could do more is up to their descriptor (ArenaSource).
  static Result<std::unique_ptr<WorkerProcess>> Start(
      const WorkerSettings& settings, const std::string& title, std::shared_ptr<worker::SharedArena> inputs,
      os::SharedMemory outputs, std::function<void(const worker::LogLine&)> log, StopFn stop = {});

  // Opens the plugin; afterwards the worker is in its sandbox. `load` may be null: then it sees no package.
  Result<PluginDescription> Open(const std::filesystem::path& plugin, const OptionList& options,
                                 const LoadOptions* load);
  Result<Estimate> EstimateModel(const LoadOptions& options);
  Result<ModelInterface> Load(const LoadOptions& options);

  // Asks it to unload and end; kills it when it has not after `patience`.
  void Shutdown(std::chrono::milliseconds patience);
  // Kills it, waits, and says how it ended.
  os::ExitStatus Kill();

  int64_t pid() const { return process_.pid(); }
  int exit_fd() const { return process_.exit_fd(); }
  const std::shared_ptr<worker::Channel>& channel() const { return channel_; }
  const std::shared_ptr<os::SharedMemory>& control() const { return control_; }
  const std::shared_ptr<os::SharedMemory>& output() const { return output_; }
  // Whether the kernel has ended it because its control group was full.
  bool was_out_of_memory() const { return group_ != nullptr && group_->out_of_memory_kills() > 0; }
  // After Open: what the worker says of its sandbox; empty without one.
  const os::SandboxReport& sandbox() const { return sandbox_; }

 private:
  WorkerProcess(const WorkerSettings& settings, std::function<void(const worker::LogLine&)> log, StopFn stop);
  void JoinGroup();
  Status Greet(const std::shared_ptr<worker::SharedArena>& inputs, os::SharedMemory outputs);
  // The next message that is no log line. Fails when the process ends, falls silent or is not wanted any more.
  Result<worker::Channel::Incoming> Await(const char* doing);
  template <typename Reply>
  Result<Reply> Ask(worker::MessageType type, const std::vector<std::byte>& payload, const char* doing);

  const WorkerSettings settings_;
  const std::function<void(const worker::LogLine&)> log_;
  const StopFn stop_;
  std::unique_ptr<os::ChildGroup> group_;  // before the process, which must have ended when it goes
  os::ChildProcess process_;
  std::shared_ptr<worker::Channel> channel_;
  std::shared_ptr<os::SharedMemory> control_;
  std::shared_ptr<os::SharedMemory> output_;
  os::SandboxReport sandbox_;
};

}  // namespace mlos::plugin
