// SPDX-License-Identifier: Apache-2.0
#include "plugin/worker_process.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "base/clock.h"
#include "os/file.h"
#include "os/process.h"

namespace mlos::plugin {
namespace {

using worker::Channel;
using worker::MessageType;

constexpr std::chrono::milliseconds kLook{50};
constexpr size_t kMostLinks = 256;
constexpr uint32_t kMostTasks = 1024;
constexpr int64_t kOpenLimitNs = 60'000'000'000;
constexpr const char* kSystemProgram = "/usr/libexec/mlos/mlos-worker";

worker::Load MessageOf(const LoadOptions& options) {
  return {options.package_dir.string(), options.model_path.string(), options.format, options.n_threads,
          options.context_length,       options.max_sequences,       options.options};
}

std::vector<std::string> Texts(const std::vector<std::filesystem::path>& paths) {
  return {paths.begin(), paths.end()};
}

// Files of the folder that are links to elsewhere, as in Hugging Face's cache: the sandbox shows what they point at. What can be
// run already stays so.
void AddLinkTargets(const std::filesystem::path& dir, const std::vector<std::string>& libraries,
                    std::vector<std::string>* out) {
  std::error_code error;
  std::filesystem::directory_iterator it(dir, error);
  for (size_t left = kMostLinks; !error && left > 0 && it != std::filesystem::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_symlink(ignored)) continue;
    const auto target = std::filesystem::canonical(it->path(), ignored);
    if (ignored || !std::filesystem::is_regular_file(target, ignored)) continue;
    if (std::ranges::find(libraries, target.parent_path().string()) != libraries.end()) continue;
    out->push_back(target.string());
    --left;
  }
}

worker::Open OpenMessage(const std::filesystem::path& plugin, const OptionList& options,
                         const LoadOptions* load, const WorkerSettings& settings) {
  worker::Open open;
  open.plugin_path = plugin.string();
  open.plugin_options = options;
  open.sandbox_mode = static_cast<uint32_t>(settings.sandbox);
  open.private_bytes = settings.private_bytes;
  open.library_paths = {plugin.parent_path().string()};
  // Plugin folders may hold links to the libraries.
  std::error_code error;
  const auto real = std::filesystem::canonical(plugin, error);
  if (!error && real.parent_path() != plugin.parent_path())
    open.library_paths.push_back(real.parent_path().string());
  open.read_paths = Texts(settings.read_paths);
  if (load != nullptr) {
    if (load->isolation == Isolation::kUnsafeProcess)
      open.sandbox_mode = static_cast<uint32_t>(os::SandboxMode::kOff);
    for (const auto* path : {&load->package_dir, &load->model_path}) {
      if (!path->empty()) open.read_paths.push_back(path->string());
    }
    if (!load->package_dir.empty()) AddLinkTargets(load->package_dir, open.library_paths, &open.read_paths);
  }
  open.write_paths = Texts(settings.write_paths);
  open.device_paths = Texts(settings.device_paths);
  open.sandbox_off = settings.sandbox_off;
  return open;
}

}  // namespace

Result<std::filesystem::path> FindWorkerProgram(const WorkerSettings& settings) {
  if (!settings.program.empty()) {
    if (os::Exists(settings.program)) return settings.program;
    return NotFound("there is no worker program '" + settings.program.string() + "'");
  }
  MLOS_ASSIGN_OR_RETURN(const std::filesystem::path self, os::ExecutablePath());
  const std::filesystem::path folder = self.parent_path();
  const std::filesystem::path places[] = {folder / "mlos-worker", folder / "../libexec/mlos/mlos-worker",
                                          kSystemProgram};
  for (const std::filesystem::path& place : places) {
    if (os::Exists(place)) return place.lexically_normal();
  }
  return NotFound("mlos-worker, the program that models run in, is neither at '" + places[0].string() +
                  "' nor at '" + places[1].lexically_normal().string() + "' nor at '" + kSystemProgram +
                  "': install it there, or run models inside mlos-core with 'isolation: none'");
}

WorkerProcess::WorkerProcess(const WorkerSettings& settings, std::function<void(const worker::LogLine&)> log,
                             StopFn stop)
    : settings_(settings), log_(std::move(log)), stop_(std::move(stop)) {}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(
    const WorkerSettings& settings, const std::string& title, std::shared_ptr<worker::SharedArena> inputs,
    os::SharedMemory outputs, std::function<void(const worker::LogLine&)> log, StopFn stop) {
  MLOS_ASSIGN_OR_RETURN(const std::filesystem::path program, FindWorkerProgram(settings));
  std::unique_ptr<WorkerProcess> made(new WorkerProcess(settings, std::move(log), std::move(stop)));
  MLOS_ASSIGN_OR_RETURN(auto sockets, os::LocalSocket::Pair());
  MLOS_ASSIGN_OR_RETURN(made->process_, os::ChildProcess::Start(program, {title}, sockets.second.fd()));
  sockets.second.Close();
  made->JoinGroup();
  made->channel_ = std::make_shared<Channel>(std::move(sockets.first));
  MLOS_RETURN_IF_ERROR(made->Greet(inputs, std::move(outputs)));
  return made;
}

// Without a group it has its other limits.
void WorkerProcess::JoinGroup() {
  if (settings_.groups == nullptr || settings_.private_bytes == 0) return;
  const auto bytes = CheckedAdd(settings_.private_bytes, settings_.arena_bytes);
  if (!bytes) return;
  auto group = settings_.groups->Make({.memory_bytes = *bytes, .tasks = kMostTasks});
  Status joined = group.status();
  if (joined.ok()) joined = (*group)->Add(process_.pid());
  if (joined.ok()) {
    group_ = std::move(*group);
  } else if (log_) {
    log_(
        {static_cast<uint32_t>(LogLevel::kWarning), "no control group for this worker: " + joined.message()});
  }
}

Status WorkerProcess::Greet(const std::shared_ptr<worker::SharedArena>& inputs, os::SharedMemory output) {
  MLOS_ASSIGN_OR_RETURN(auto control, os::SharedMemory::Create("mlos-worker-control", worker::kControlBytes));
  MLOS_RETURN_IF_ERROR(control.Commit(0, control.size_bytes()));
  worker::ControlHeader& header = worker::ControlView(control.data()).header();
  header.magic = worker::kControlMagic;
  header.version = worker::kProtocolVersion;
  header.n_slots = worker::kSlots;
  header.slot_bytes = worker::kSlotBytes;
  header.n_releases = worker::kReleases;
  header.submit_offset = worker::kSubmitOffset;
  header.release_offset = worker::kReleaseOffset;
  header.slots_offset = worker::kSlotsOffset;
  header.input_bytes = inputs->memory().size_bytes();
  header.output_bytes = output.size_bytes();
  MLOS_ASSIGN_OR_RETURN(const Channel::Incoming message, Await("starting"));
  worker::Hello hello;
  if (message.header.type != MessageType::kHello) return Internal("the worker did not begin with Hello");
  MLOS_RETURN_IF_ERROR(worker::Decode(message.payload, &hello));
  if (hello.magic != worker::kControlMagic || hello.min_version > worker::kProtocolVersion ||
      hello.max_version < worker::kProtocolVersion) {
    return Unimplemented("'" + hello.software + "' speaks the worker protocol " +
                         std::to_string(hello.min_version) + ".." + std::to_string(hello.max_version) +
                         ", this host " + std::to_string(worker::kProtocolVersion) +
                         ": install programs of one version");
  }
  worker::Welcome welcome;
  welcome.version = worker::kProtocolVersion;
  welcome.heartbeat_ms =
      static_cast<uint32_t>(std::clamp<int64_t>(settings_.hang_timeout.count() / 8, 5, 1000));
  welcome.max_threads = settings_.max_threads;
  welcome.spin_us = static_cast<uint32_t>(std::max(settings_.spin_us, 0));
  welcome.control_bytes = control.size_bytes();
  welcome.input_bytes = inputs->memory().size_bytes();
  welcome.output_bytes = output.size_bytes();
  const int files[] = {control.fd().get(), inputs->memory().fd().get(), output.fd().get()};
  control_ = std::make_shared<os::SharedMemory>(std::move(control));
  output_ = std::make_shared<os::SharedMemory>(std::move(output));
  return channel_->SendMessage(welcome, true, files);
}

Result<Channel::Incoming> WorkerProcess::Await(const char* doing) {
  const auto silent_limit_ns = std::chrono::nanoseconds(std::max(settings_.hang_timeout, 3 * kLook)).count();
  const auto beat = [&] {
    return control_ ? worker::ControlView(control_->data()).header().heartbeat.load(std::memory_order_relaxed)
                    : 0;
  };
  uint64_t last_beat = beat();
  int64_t last_sign_ns = Clock::Real().MonotonicNs();
  const int fds[] = {channel_->fd(), process_.exit_fd()};
  while (true) {
    if (stop_ && stop_()) return Cancelled("the model is not wanted any more");
    const uint32_t ready = os::WaitReadable(fds, static_cast<int>(kLook.count()));
    if ((ready & 1) != 0) {
      Result<Channel::Incoming> message = channel_->Receive(true);
      if (message.ok() && message->header.type == MessageType::kLog) {
        worker::LogLine line;
        if (log_ && worker::Decode(message->payload, &line).ok()) log_(line);
        continue;
      }
      if (message.ok()) return message;
      // The end of the socket is a moment before the end of the process.
      if (message.status().code() != Code::kFailedPrecondition) return message.status();
    }
    if (ready != 0) {
      const auto ended = process_.Wait(static_cast<int>(settings_.hang_timeout.count()));
      return Internal("the worker " + (ended ? ended->ToString() : std::string("closed its socket")) +
                      " while " + doing);
    }
    if (const uint64_t now_beat = beat(); now_beat != last_beat) {
      last_beat = now_beat;
      last_sign_ns = Clock::Real().MonotonicNs();
    }
    // The heart beats from the moment the plugin is open; before that libraries are loaded, which may take long.
    const int64_t limit_ns = last_beat == 0 ? std::max(silent_limit_ns, kOpenLimitNs) : silent_limit_ns;
    if (Clock::Real().MonotonicNs() - last_sign_ns > limit_ns) {
      return Internal("the worker gave no sign of life for " + std::to_string(limit_ns / 1'000'000) +
                      " ms while " + doing);
    }
  }
}

template <typename Reply>
Result<Reply> WorkerProcess::Ask(MessageType type, const std::vector<std::byte>& payload, const char* doing) {
  MLOS_RETURN_IF_ERROR(channel_->Send(type, 0, payload, true));
  MLOS_ASSIGN_OR_RETURN(const Channel::Incoming message, Await(doing));
  if (message.header.type == MessageType::kError) {
    worker::ErrorReply error;
    MLOS_RETURN_IF_ERROR(worker::Decode(message.payload, &error));
    return error.status;
  }
  if (message.header.type != Reply::kType) {
    return Internal("the worker answered with a message of type " +
                    std::to_string(static_cast<uint32_t>(message.header.type)) + " while " + doing);
  }
  Reply reply;
  const Status read = worker::Decode(message.payload, &reply);
  if (!read.ok()) return Internal(read.message());
  return reply;
}

Result<PluginDescription> WorkerProcess::Open(const std::filesystem::path& plugin, const OptionList& options,
                                              const LoadOptions* load) {
  MLOS_ASSIGN_OR_RETURN(
      worker::Opened opened,
      Ask<worker::Opened>(MessageType::kOpen, worker::Pack(OpenMessage(plugin, options, load, settings_)),
                          "opening the plugin"));
  MLOS_ASSIGN_OR_RETURN(sandbox_, os::SandboxReport::Parse(opened.sandbox));
  return PluginDescription{
      std::move(opened.id),      std::move(opened.version),    std::move(opened.engine_version), plugin,
      std::move(opened.formats), std::move(opened.frameworks), std::move(opened.capabilities)};
}

Result<Estimate> WorkerProcess::EstimateModel(const LoadOptions& options) {
  MLOS_ASSIGN_OR_RETURN(const worker::Estimated e,
                        Ask<worker::Estimated>(MessageType::kEstimate, worker::Pack(MessageOf(options)),
                                               "estimating the model's memory"));
  return Estimate{e.private_bytes, e.mapped_bytes, e.device_bytes, e.per_call_bytes};
}

Result<ModelInterface> WorkerProcess::Load(const LoadOptions& options) {
  MLOS_ASSIGN_OR_RETURN(
      worker::Loaded loaded,
      Ask<worker::Loaded>(MessageType::kLoad, worker::Pack(MessageOf(options)), "loading the model"));
  return std::move(loaded.interface);
}

void WorkerProcess::Shutdown(std::chrono::milliseconds patience) {
  if (channel_->Send(MessageType::kUnload, 0, {}, false).ok()) {
    const int fds[] = {channel_->fd(), process_.exit_fd()};
    const int64_t until_ns = Clock::Real().MonotonicNs() + std::chrono::nanoseconds(patience).count();
    while (true) {
      const int64_t left_ms = (until_ns - Clock::Real().MonotonicNs()) / 1'000'000;
      if (left_ms <= 0) break;
      const uint32_t ready = os::WaitReadable(fds, static_cast<int>(left_ms));
      if (ready == 0 || (ready & 2) != 0) break;
      const auto message = channel_->Receive(true);
      if (!message.ok()) break;
      worker::LogLine line;
      if (log_ && message->header.type == MessageType::kLog && worker::Decode(message->payload, &line).ok())
        log_(line);
    }
    if (process_.Wait(
            static_cast<int>(std::max<int64_t>((until_ns - Clock::Real().MonotonicNs()) / 1'000'000, 0))))
      return;
  }
  Kill();
}

os::ExitStatus WorkerProcess::Kill() {
  // It may have ended already: how counts, not that it is killed now.
  if (const auto ended = process_.Wait(0)) return *ended;
  process_.Kill();
  return process_.Wait(-1).value_or(os::ExitStatus());
}

}  // namespace mlos::plugin
