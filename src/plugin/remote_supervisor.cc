// SPDX-License-Identifier: Apache-2.0
// RemoteInstance, the part that runs on the supervisor's thread: starts the worker, reads what it says, buries it.
#include <algorithm>
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
  Status up = BringUp();
  const bool first = up.ok();
  if (first) BecomeReady();
  if (!first) process_.reset();
  loaded.set_value(std::move(up));
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
      reason = up.message();
      Log(LogLevel::kError, "the worker could not be started again: " + reason);
      wait_ns = policy_.OnDeath(NowNs(), false);
    }
    if (stopping_.load()) break;
    if (!wait_ns) {
      GiveUp(reason);
      break;
    }
    BecomeReady();
  }
  if (process_) process_->Shutdown(kUnloadPatience);
}

Status RemoteInstance::BringUp() {
  process_.reset();
  draft_.reset();
  MLOS_RETURN_IF_ERROR(StartWorker());
  MLOS_ASSIGN_OR_RETURN(ModelInterface interface, LoadInWorker());
  return AdoptInterface(std::move(interface));
}

Status RemoteInstance::StartWorker() {
  const auto log = [this](const worker::LogLine& line) {
    const auto level = std::min(line.level, static_cast<uint32_t>(LogLevel::kError));
    Log(static_cast<LogLevel>(level), line.text);
  };
  const auto stop = [this] {
    DropLateParked();
    return stopping_.load();
  };
  WorkerSettings settings = model_.settings;
  OptionList options = model_.plugin_options;
  if (model_.cache != nullptr) {
    auto draft = model_.cache->NewDraft();
    if (draft.ok()) {
      draft_ = std::move(*draft);
    } else {
      Log(LogLevel::kWarning, "weights are not cached: " + draft.status().message());
    }
    AddCache(*model_.cache, model_.plugin.path, draft_.get(), &settings, &options);
  }
  const std::string title = model_.plugin.id + " " + model_.load.model_path.string();
  MLOS_ASSIGN_OR_RETURN(process_, WorkerProcess::Start(settings, title, inputs_, log, stop));
  MLOS_ASSIGN_OR_RETURN(const PluginDescription opened,
                        process_->Open(model_.plugin.path, options, &model_.load));
  if (opened.id == model_.plugin.id) return OkStatus();
  return Internal("plugin " + model_.plugin.path.string() + " calls itself '" + opened.id +
                  "' now, it was '" + model_.plugin.id + "'");
}

Result<ModelInterface> RemoteInstance::LoadInWorker() {
  if (draft_ == nullptr) return process_->Load(model_.load);
  const auto turn = model_.cache->TakeTurn(model_.load.model_path);
  MLOS_ASSIGN_OR_RETURN(ModelInterface interface, process_->Load(model_.load));
  const Status taken = model_.cache->TakeIn(*draft_, NameInFile(model_.plugin.path), model_.load.model_path);
  if (!taken.ok()) {
    Log(LogLevel::kWarning, "weight cache: what worker " + std::to_string(process_->pid()) +
                                " made is not taken: " + taken.message());
  }
  return interface;
}

Status RemoteInstance::AdoptInterface(ModelInterface interface) {
  if (!has_interface_) {
    interface.input_arena = inputs_;
    interface_ = std::move(interface);
    has_interface_ = true;
    return OkStatus();
  }
  if (interface.inputs == interface_.inputs && interface.outputs == interface_.outputs) return OkStatus();
  return FailedPrecondition("the model has other inputs or outputs than before: register it again");
}

void RemoteInstance::BecomeReady() {
  auto link =
      std::make_shared<WorkerLink>(process_->channel(), process_->control(), process_->output(), inputs_,
                                   interface_, int64_t{std::max(model_.settings.spin_us, 0)} * 1000);
  last_beat_ = link->heartbeat();
  last_beat_ns_ = NowNs();
  std::deque<CallPtr> parked;
  {
    MutexLock lock(mu_);
    if (state_ == State::kRestarting) ++restarts_;
    link_ = std::move(link);
    pid_ = process_->pid();
    sandbox_ = process_->sandbox();
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
  const int fds[] = {process_->channel()->fd(), process_->exit_fd(), wake_->fd()};
  while (!stopping_.load()) {
    if (NowNs() >= next_tick_ns) {
      if (auto reason = Tick()) return *reason;
      next_tick_ns = NowNs() + tick_ms * 1'000'000;
    }
    const uint32_t ready = os::WaitReadable(fds, static_cast<int>(tick_ms));
    if ((ready & 4) != 0) wake_->Clear();
    if ((ready & 1) != 0) {
      if (auto reason = ReadMessages()) return *reason;
    }
    if ((ready & 2) != 0) return "";
  }
  return "";
}

std::optional<std::string> RemoteInstance::ReadMessages() {
  const std::shared_ptr<WorkerLink> link = Link();
  while (true) {
    auto message = process_->channel()->Receive(false);
    if (message.status().code() == Code::kUnavailable) return std::nullopt;
    if (message.status().code() == Code::kFailedPrecondition) return "";
    if (!message.ok()) return "sent what is no message: " + message.status().message();
    const CallPtr call = link->Find(message->header.id);
    switch (message->header.type) {
      case MessageType::kText:
        if (call == nullptr || !call->request.generation || call->claimed() || call->refused) break;
        call->text += message->text();
        if (call->request.generation->stream && !call->sink->OnText(message->text())) {
          call->refused = true;
          link->Cancel(*call);
        }
        break;
      case MessageType::kComplete:
        if (call != nullptr) TakeAnswer(*link, call);
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
std::optional<std::string> RemoteInstance::Tick() {
  const int64_t now_ns = NowNs();
  const std::shared_ptr<WorkerLink> link = Link();
  if (const uint64_t beat = link->heartbeat(); beat != last_beat_) {
    last_beat_ = beat;
    last_beat_ns_ = now_ns;
  } else if (now_ns - last_beat_ns_ > NsOf(model_.settings.hang_timeout)) {
    return "gave no sign of life for " + std::to_string(model_.settings.hang_timeout.count()) +
           " ms (stopped or hung) and was killed";
  }
  for (const CallPtr& call : link->Calls()) {
    if (TickCall(call, now_ns)) {
      return "went on for " + std::to_string(model_.settings.stuck_timeout.count()) +
             " ms with a request that was to stop, and was killed";
    }
  }
  return std::nullopt;
}

// True when the call is stuck.
bool RemoteInstance::TickCall(const CallPtr& call, int64_t now_ns) {
  const int64_t deadline_ns = call->request.deadline_ns;
  int64_t stop_ns = call->stop_ns.load();
  if (deadline_ns != 0 && now_ns > deadline_ns + kLateNs) {
    stop_ns = stop_ns == 0 ? deadline_ns : std::min(stop_ns, deadline_ns);
    if (!call->claimed()) {
      Link()->Cancel(*call);
      Answer(call, DeadlineExceeded("the deadline passed while the model was running"), {});
    }
  }
  if (stop_ns == 0 || now_ns - stop_ns < NsOf(model_.settings.stuck_timeout)) return false;
  quarantine_.Blame(call->digest ? *call->digest : DigestOf(call->request), "did not stop");
  return true;
}

std::string RemoteInstance::BuryWorker(const std::string& reason) {
  std::shared_ptr<WorkerLink> link;
  const int64_t pid = process_->pid();
  std::string death;
  {
    MutexLock lock(mu_);
    state_ = State::kRestarting;
    reason_ = "the model's worker died and starts again";
    link.swap(link_);
    pid_ = 0;
  }
  const os::ExitStatus status = process_->Kill();
  death = reason.empty() ? status.ToString() + MemoryHint(status, model_.settings.private_bytes) : reason;
  if (process_->was_out_of_memory()) death += ", because it took more memory than its control group allows,";
  process_.reset();
  size_t failed = 0;
  size_t again = 0;
  for (const WorkerLink::Lost& lost : link->Die()) {
    if (lost.answered) {
      TakeAnswer(*link, lost.call);
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
  {
    MutexLock lock(mu_);
    reason_ = "the model's worker " + death + " and starts again";
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
    const int64_t left_ms = (at_ns - NowNs() + 999'999) / 1'000'000;
    if (left_ms <= 0) return true;
    if (os::WaitReadable(fds, static_cast<int>(std::min<int64_t>(left_ms, 50))) != 0) wake_->Clear();
  }
  return false;
}

std::shared_ptr<WorkerLink> RemoteInstance::Link() const {
  MutexLock lock(mu_);
  return link_;
}

void RemoteInstance::Log(LogLevel level, const std::string& text) const {
  if (model_.log) model_.log(level, model_.plugin.id, text);
}

}  // namespace mlos::plugin
