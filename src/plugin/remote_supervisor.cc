// SPDX-License-Identifier: Apache-2.0
// RemoteInstance, the part that runs on the supervisor's thread: starts the worker, reads what it says, buries it.
#include <algorithm>
#include <atomic>
#include <utility>

#include "base/clock.h"
#include "os/errors.h"
#include "os/process.h"
#include "plugin/plugin_library.h"
#include "plugin/remote_instance.h"

namespace mlos::plugin {

using worker::MessageType;
using worker::Waiter;

namespace {

constexpr int64_t kLateNs = 100'000'000;
constexpr uint32_t kMaxAttempts = 3;
constexpr std::chrono::milliseconds kUnloadPatience{10'000};
constexpr int64_t kLeavingLookNs = 20'000'000;
constexpr int64_t kFirstReplacementWaitNs = 10'000'000'000;
constexpr int64_t kLongestReplacementWaitNs = 600'000'000'000;

int64_t NowNs() { return Clock::Real().MonotonicNs(); }

// An engine that gets no more memory dies in many ways; what it had says more than the signal.
std::string MemoryHint(const os::ExitStatus& status, uint64_t limit_bytes) {
  if (limit_bytes == 0 || status.peak_bytes < limit_bytes / 8 * 7) return "";
  return ", with " + os::FormatBytes(status.peak_bytes) + " of memory, where " +
         os::FormatBytes(limit_bytes) + " of private memory are its limit,";
}

int64_t NsOf(std::chrono::milliseconds time) { return std::chrono::nanoseconds(time).count(); }

}  // namespace

void RemoteInstance::Supervise(std::promise<Status> loaded) {
  Result<Worker> up = BringUp();
  const bool first = up.ok();
  if (first) BecomeReady(std::move(*up));
  loaded.set_value(up.status());
  if (!first) return;
  while (!stopping_.load()) {
    std::string reason = Serve();
    if (stopping_.load()) break;
    const bool fruitful = answered_by_worker_.exchange(0) > 0;
    reason = BuryWorker(reason);
    std::optional<int64_t> wait_ns = policy_.OnDeath(NowNs(), fruitful);
    while (wait_ns) {
      if (!SleepUntil(NowNs() + *wait_ns)) return;
      up = BringUp();
      if (stopping_.load() || up.ok()) break;
      reason = up.status().message();
      Log(LogLevel::kError, "the worker could not be started again: " + reason);
      wait_ns = policy_.OnDeath(NowNs(), false);
    }
    if (stopping_.load()) break;
    if (!wait_ns) {
      GiveUp(reason);
      break;
    }
    BecomeReady(std::move(*up));
  }
  // Its process ends with this thread.
  while (leaving_ && SleepUntil(NowNs() + kLeavingLookNs)) {
  }
  if (worker_.process) worker_.process->Shutdown(kUnloadPatience);
}

Result<RemoteInstance::Inputs> RemoteInstance::MakeInputs() {
  MLOS_ASSIGN_OR_RETURN(Arena arena, arenas_.Make(ArenaSource::Use::kInputs, model_.settings.arena_bytes));
  return Inputs{std::make_shared<worker::SharedArena>(std::move(arena.memory)), std::move(arena.buffer)};
}

Result<RemoteInstance::Worker> RemoteInstance::BringUp() {
  Worker worker;
  worker.inputs = inputs_kept_;
  const worker::SharedArena* kept = inputs_kept_.arena.get();
  if (kept == nullptr || ArenaSource::IsAbandoned(inputs_kept_.buffer) ||
      (arenas_.avoids_module() && kept->memory().is_tensor())) {
    MLOS_ASSIGN_OR_RETURN(worker.inputs, MakeInputs());
  }
  MLOS_RETURN_IF_ERROR(StartProcess(&worker));
  MLOS_ASSIGN_OR_RETURN(ModelInterface interface, LoadInWorker(worker));
  MLOS_RETURN_IF_ERROR(AdoptInterface(std::move(interface)));
  return worker;
}

Status RemoteInstance::StartProcess(Worker* worker) {
  const auto log = [this](const worker::LogLine& line) {
    const auto level = std::min(line.level, static_cast<uint32_t>(LogLevel::kError));
    Log(static_cast<LogLevel>(level), line.text);
  };
  const auto stop = [this] {
    DropLateParked();
    LookAfterLeaving();
    if (worker_.link != nullptr && !lost_) lost_ = LookAfter(worker_);
    return stopping_.load() || lost_;
  };
  WorkerSettings settings = model_.settings;
  OptionList options = model_.plugin_options;
  if (model_.cache != nullptr) {
    auto draft = model_.cache->NewDraft();
    if (draft.ok()) {
      worker->draft = std::move(*draft);
    } else {
      Log(LogLevel::kWarning, "weights are not cached: " + draft.status().message());
    }
    AddCache(*model_.cache, model_.plugin.path, worker->draft.get(), &settings, &options);
  }
  MLOS_ASSIGN_OR_RETURN(Arena outputs, arenas_.Make(ArenaSource::Use::kOutputs, settings.arena_bytes));
  worker->outputs = outputs.buffer;
  const std::string title = model_.plugin.id + " " + model_.load.model_path.string();
  MLOS_ASSIGN_OR_RETURN(worker->process, WorkerProcess::Start(settings, title, worker->inputs.arena,
                                                              std::move(outputs.memory), log, stop));
  MLOS_ASSIGN_OR_RETURN(const PluginDescription opened,
                        worker->process->Open(model_.plugin.path, options, &model_.load));
  if (opened.id == model_.plugin.id) return OkStatus();
  return Internal("plugin " + model_.plugin.path.string() + " calls itself '" + opened.id +
                  "' now, it was '" + model_.plugin.id + "'");
}

Result<ModelInterface> RemoteInstance::LoadInWorker(const Worker& worker) {
  if (worker.draft == nullptr) return worker.process->Load(model_.load);
  const auto turn = model_.cache->TakeTurn(model_.load.model_path);
  MLOS_ASSIGN_OR_RETURN(ModelInterface interface, worker.process->Load(model_.load));
  const Status taken =
      model_.cache->TakeIn(*worker.draft, NameInFile(model_.plugin.path), model_.load.model_path);
  if (!taken.ok()) {
    Log(LogLevel::kWarning, "weight cache: what worker " + std::to_string(worker.process->pid()) +
                                " made is not taken: " + taken.message());
  }
  return interface;
}

Status RemoteInstance::AdoptInterface(ModelInterface interface) {
  if (!has_interface_) {
    interface.input_arena = input_arena_;
    interface_ = std::move(interface);
    has_interface_ = true;
    return OkStatus();
  }
  if (interface.inputs == interface_.inputs && interface.outputs == interface_.outputs) return OkStatus();
  return FailedPrecondition("the model has other inputs or outputs than before: register it again");
}

void RemoteInstance::BecomeReady(Worker worker) {
  WorkerProcess& process = *worker.process;
  auto link = std::make_shared<WorkerLink>(process.channel(), process.control(), process.output(),
                                           worker.inputs.arena, interface_,
                                           int64_t{std::max(model_.settings.spin_us, 0)} * 1000);
  worker.last_beat = link->heartbeat();
  worker.last_beat_ns = NowNs();
  worker.link = link;
  inputs_kept_ = worker.inputs;
  worker_ = std::move(worker);
  input_arena_->Use(inputs_kept_.arena);
  std::shared_ptr<worker::SharedArena> inputs = inputs_kept_.arena;  // what it replaces goes after the lock
  std::deque<CallPtr> parked;
  {
    MutexLock lock(mu_);
    if (state_ == State::kRestarting) ++restarts_;
    leaving_link_ = leaving_ ? leaving_->link : nullptr;
    link_.swap(link);
    inputs_.swap(inputs);
    pid_ = process.pid();
    sandbox_ = process.sandbox();
    state_ = State::kReady;
    parked.swap(parked_);
  }
  for (const CallPtr& call : parked) {
    if (!call->claimed()) Dispatch(call, Waiter::kSocket);
  }
}

std::string RemoteInstance::Serve() {
  const int64_t tick_ms = std::clamp<int64_t>(model_.settings.hang_timeout.count() / 8, 10, 500);
  int64_t next_tick_ns = NowNs();
  while (!stopping_.load()) {
    if (NowNs() >= next_tick_ns) {
      if (auto reason = Tick(worker_)) return *reason;
      if (WantsOtherArenas()) Replace();
      if (lost_) return *std::exchange(lost_, std::nullopt);
      next_tick_ns = NowNs() + tick_ms * 1'000'000;
    }
    LookAfterLeaving();
    int fds[5] = {worker_.process->channel()->fd(), worker_.process->exit_fd(), wake_->fd()};
    size_t n_fds = 3;
    int64_t wait_ms = tick_ms;
    if (leaving_) {
      fds[n_fds++] = leaving_->process->channel()->fd();
      fds[n_fds++] = leaving_->process->exit_fd();
      wait_ms = std::min(tick_ms, kLeavingLookNs / 1'000'000);
    }
    const uint32_t ready = os::WaitReadable({fds, n_fds}, static_cast<int>(wait_ms));
    if ((ready & 4) != 0) wake_->Clear();
    if ((ready & 1) != 0) {
      if (auto reason = ReadMessages(worker_)) return *reason;
    }
    if ((ready & 2) != 0) return "";
  }
  return "";
}

std::optional<std::string> RemoteInstance::LookAfter(Worker& worker) {
  if (auto reason = Tick(worker)) return reason;
  const int fds[] = {worker.process->channel()->fd(), worker.process->exit_fd()};
  const uint32_t ready = os::WaitReadable(fds, 0);
  if ((ready & 1) != 0) {
    if (auto reason = ReadMessages(worker)) return reason;
  }
  if ((ready & 2) != 0) return "";
  return std::nullopt;
}

std::optional<std::string> RemoteInstance::ReadMessages(Worker& worker) {
  WorkerLink& link = *worker.link;
  while (true) {
    auto message = worker.process->channel()->Receive(false);
    if (message.status().code() == Code::kUnavailable) return std::nullopt;
    if (message.status().code() == Code::kFailedPrecondition) return "";
    if (!message.ok()) return "sent what is no message: " + message.status().message();
    const CallPtr call = link.Find(message->header.id);
    switch (message->header.type) {
      case MessageType::kText:
        if (call == nullptr || !call->request.generation || call->claimed() || call->refused) break;
        call->text += message->text();
        if (call->request.generation->stream && !call->sink->OnText(message->text())) {
          call->refused = true;
          link.Cancel(*call);
        }
        break;
      case MessageType::kComplete:
        if (call != nullptr) TakeAnswer(link, call);
        break;
      case MessageType::kLog: {
        worker::LogLine line;
        if (!worker::Decode(message->payload, &line).ok()) return "sent a log line that cannot be read";
        Log(static_cast<LogLevel>(std::min(line.level, 3U)), line.text);
        break;
      }
      default:
        return "sent a message of type " + std::to_string(static_cast<uint32_t>(message->header.type)) +
               " while it served";
    }
  }
}

// A reason when the worker must go.
std::optional<std::string> RemoteInstance::Tick(Worker& worker) {
  const int64_t now_ns = NowNs();
  if (const uint64_t beat = worker.link->heartbeat(); beat != worker.last_beat) {
    worker.last_beat = beat;
    worker.last_beat_ns = now_ns;
  } else if (now_ns - worker.last_beat_ns > NsOf(model_.settings.hang_timeout)) {
    return "gave no sign of life for " + std::to_string(model_.settings.hang_timeout.count()) +
           " ms (stopped or hung) and was killed";
  }
  for (const CallPtr& call : worker.link->Calls()) {
    if (TickCall(*worker.link, call, now_ns)) {
      return "went on for " + std::to_string(model_.settings.stuck_timeout.count()) +
             " ms with a request that was to stop, and was killed";
    }
  }
  return std::nullopt;
}

// True when the call is stuck.
bool RemoteInstance::TickCall(WorkerLink& link, const CallPtr& call, int64_t now_ns) {
  const int64_t deadline_ns = call->request.deadline_ns;
  int64_t stop_ns = call->stop_ns.load();
  if (deadline_ns != 0 && now_ns > deadline_ns + kLateNs) {
    stop_ns = stop_ns == 0 ? deadline_ns : std::min(stop_ns, deadline_ns);
    if (!call->claimed()) {
      link.Cancel(*call);
      Answer(call, DeadlineExceeded("the deadline passed while the model was running"), {});
    }
  }
  if (stop_ns == 0 || now_ns - stop_ns < NsOf(model_.settings.stuck_timeout)) return false;
  quarantine_.Blame(call->digest ? *call->digest : DigestOf(call->request), "did not stop");
  return true;
}

bool RemoteInstance::WantsOtherArenas() {
  if (leaving_ || NowNs() < next_replacement_ns_) return false;
  if (ArenaSource::IsAbandoned(inputs_kept_.buffer) || ArenaSource::IsAbandoned(worker_.outputs)) return true;
  const bool inputs_refused =
      inputs_kept_.arena->memory().is_tensor() && inputs_kept_.arena->was_refused_memory();
  const bool outputs_refused = worker_.process->output()->is_tensor() &&
                               worker_.link->header().output_refused.load(std::memory_order_relaxed) != 0;
  if (!inputs_refused && !outputs_refused) return false;
  if (!arenas_.avoids_module()) {
    Log(LogLevel::kWarning,
        "the kernel module has no more memory for tensors: the next worker has memory of its own");
  }
  arenas_.AvoidModule();
  return true;
}

void RemoteInstance::Replace() {
  // Memory is needed for two workers meanwhile: of one model at a time.
  static std::atomic_flag under_way;
  if (under_way.test_and_set()) return;
  Result<Worker> next = BringUp();
  under_way.clear();
  if (lost_ || stopping_.load()) return;
  if (!next.ok()) {
    replacement_wait_ns_ =
        std::clamp(replacement_wait_ns_ * 2, kFirstReplacementWaitNs, kLongestReplacementWaitNs);
    next_replacement_ns_ = NowNs() + replacement_wait_ns_;
    Log(LogLevel::kWarning,
        "worker " + std::to_string(worker_.process->pid()) +
            " keeps memory of the kernel module, no other one could be started: " + next.status().message());
    return;
  }
  replacement_wait_ns_ = 0;
  Log(LogLevel::kInfo, "worker " + std::to_string(next->process->pid()) + " takes the place of worker " +
                           std::to_string(worker_.process->pid()) +
                           ", whose tensors lie in the kernel module");
  leaving_.emplace(std::exchange(worker_, Worker()));
  BecomeReady(std::move(*next));
  leaving_->link->Retire();
}

void RemoteInstance::LookAfterLeaving() {
  if (!leaving_) return;
  std::optional<std::string> reason = LookAfter(*leaving_);
  if (!reason && leaving_->link->Calls().empty()) {
    if (leaving_->unload_ns == 0) {
      leaving_->unload_ns = NowNs();
      (void)leaving_->process->channel()->Send(MessageType::kUnload, 0, {}, false);
    } else if (NowNs() - leaving_->unload_ns > NsOf(kUnloadPatience)) {
      reason = "did not end and was killed";
    }
  }
  if (!reason) return;
  {
    MutexLock lock(mu_);
    leaving_link_ = nullptr;
  }
  Worker gone = std::move(*leaving_);
  leaving_.reset();
  // It was asked to.
  if (reason->empty() && gone.unload_ns != 0) return;
  End(std::move(gone), *reason);
}

std::string RemoteInstance::BuryWorker(const std::string& reason) {
  std::shared_ptr<WorkerLink> link;
  {
    MutexLock lock(mu_);
    state_ = State::kRestarting;
    reason_ = "the model's worker died and starts again";
    link.swap(link_);
    pid_ = 0;
  }
  std::string death = End(std::exchange(worker_, Worker()), reason);
  MutexLock lock(mu_);
  reason_ = "the model's worker " + death + " and starts again";
  return death;
}

std::string RemoteInstance::End(Worker worker, const std::string& reason) {
  const int64_t pid = worker.process->pid();
  const os::ExitStatus status = worker.process->Kill();
  std::string death =
      reason.empty() ? status.ToString() + MemoryHint(status, model_.settings.private_bytes) : reason;
  if (worker.process->was_out_of_memory())
    death += ", because it took more memory than its control group allows,";
  worker.process.reset();
  size_t failed = 0;
  size_t again = 0;
  for (const WorkerLink::Lost& lost : worker.link->Die()) {
    if (lost.answered) {
      TakeAnswer(*worker.link, lost.call);
      continue;
    }
    if (lost.call->claimed()) continue;
    if (!lost.started && lost.call->attempts < kMaxAttempts) {
      ++again;
      Dispatch(lost.call, Waiter::kSocket);
      continue;
    }
    // A worker that was silent was not ended by what it computed.
    if (lost.started && reason.empty()) {
      quarantine_.Blame(lost.call->digest ? *lost.call->digest : DigestOf(lost.call->request), death);
    }
    ++failed;
    Answer(lost.call,
           Unavailable("the worker of plugin '" + plugin_id() + "' " + death +
                       " while it ran this request; it starts again: retry"),
           {});
  }
  Log(LogLevel::kWarning, "worker " + std::to_string(pid) + " " + death + "; " + std::to_string(failed) +
                              " requests failed, " + std::to_string(again) + " wait for the next one");
  return death;
}

void RemoteInstance::DropLateParked() {
  const int64_t now_ns = NowNs();
  std::vector<std::pair<CallPtr, Status>> late;
  {
    MutexLock lock(mu_);
    std::erase_if(parked_, [&](const CallPtr& call) {
      const int64_t deadline_ns = call->request.deadline_ns;
      if (call->stop_ns.load() != 0) {
        late.emplace_back(call, Cancelled("cancelled while the model's worker started again"));
      } else if (deadline_ns != 0 && now_ns >= deadline_ns) {
        late.emplace_back(call,
                          DeadlineExceeded("the deadline passed while the model's worker started again"));
      } else {
        return false;
      }
      return true;
    });
  }
  for (auto& [call, status] : late) Answer(call, std::move(status), {});
}

void RemoteInstance::GiveUp(const std::string& reason) {
  const std::string text = "the model was given up after its worker died " +
                           std::to_string(policy_.fruitless()) + " times without answering; the last one " +
                           reason + "; register it again to try anew";
  std::deque<CallPtr> parked;
  {
    MutexLock lock(mu_);
    state_ = State::kGivenUp;
    reason_ = text;
    parked.swap(parked_);
  }
  Log(LogLevel::kError, text);
  for (const CallPtr& call : parked) Answer(call, Unavailable(text), {});
}

// False when the instance ends.
bool RemoteInstance::SleepUntil(int64_t at_ns) {
  const int fds[] = {wake_->fd()};
  while (!stopping_.load()) {
    DropLateParked();
    LookAfterLeaving();
    const int64_t left_ms = (at_ns - NowNs() + 999'999) / 1'000'000;
    if (left_ms <= 0) return true;
    if (os::WaitReadable(fds, static_cast<int>(std::min<int64_t>(left_ms, 50))) != 0) wake_->Clear();
  }
  return false;
}

void RemoteInstance::Log(LogLevel level, const std::string& text) const {
  if (model_.log) model_.log(level, model_.plugin.id, text);
}

}  // namespace mlos::plugin
