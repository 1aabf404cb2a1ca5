// SPDX-License-Identifier: Apache-2.0
#include "worker/session.h"

#include <algorithm>
#include <utility>

#include "base/version.h"
#include "os/child_process.h"
#include "os/sandbox.h"
#include "plugin/local_instance.h"
#include "plugin/smi_convert.h"

namespace mlos::worker {
namespace {

plugin::LoadOptions OptionsOf(const Load& load) {
  plugin::LoadOptions out;
  out.package_dir = load.package_dir;
  out.model_path = load.model_path;
  out.format = load.format;
  out.n_threads = load.n_threads;
  out.context_length = load.context_length;
  out.max_sequences = load.max_sequences;
  out.options = load.options;
  return out;
}

Result<os::SandboxSpec> SandboxOf(const Open& open, std::vector<int> keep) {
  os::SandboxSpec spec;
  if (open.sandbox_mode > static_cast<uint32_t>(os::SandboxMode::kRequire)) {
    return InvalidArgument("there is no sandbox mode " + std::to_string(open.sandbox_mode));
  }
  spec.mode = static_cast<os::SandboxMode>(open.sandbox_mode);
  spec.library_paths.assign(open.library_paths.begin(), open.library_paths.end());
  spec.read_paths.assign(open.read_paths.begin(), open.read_paths.end());
  spec.write_paths.assign(open.write_paths.begin(), open.write_paths.end());
  spec.device_paths.assign(open.device_paths.begin(), open.device_paths.end());
  spec.keep_fds = std::move(keep);
  spec.limits.private_bytes = open.private_bytes;
  for (const std::string& name : open.sandbox_off) {
    const auto mechanism = os::FindMechanism(name);
    if (!mechanism) return InvalidArgument("the sandbox has no part '" + name + "'");
    spec.off.push_back(*mechanism);
  }
  return spec;
}

// Frees the output blocks that the host has given back.
void TakeReleases(const ControlView& control, BlockAllocator& blocks) {
  ControlHeader& header = control.header();
  uint64_t head = header.release_head.load(std::memory_order_relaxed);
  const uint64_t tail = header.release_tail.load(std::memory_order_acquire);
  if (tail - head > kReleases) return;
  for (; head != tail; ++head) blocks.Free(control.release(head).load(std::memory_order_relaxed));
  header.release_head.store(head, std::memory_order_release);
}

}  // namespace

Session::~Session() {
  if (busy_.joinable()) busy_.join();
  MutexLock lock(mu_);
  pool_.reset();
  instance_.reset();
}

Status Session::Run() {
  MLOS_RETURN_IF_ERROR(Greet());
  MLOS_RETURN_IF_ERROR(OpenPlugin());
  const int fds[] = {channel_.fd()};
  while (!ended_) {
    Beat();
    if (os::WaitReadable(fds, static_cast<int>(welcome_.heartbeat_ms)) == 0) continue;
    MLOS_ASSIGN_OR_RETURN(const Channel::Incoming message, channel_.Receive(true));
    MLOS_RETURN_IF_ERROR(Handle(message));
  }
  return OkStatus();
}

Status Session::Greet() {
  MLOS_RETURN_IF_ERROR(channel_.SendMessage(
      Hello{kControlMagic, kProtocolVersion, kProtocolVersion, std::string("mlos-worker ") + kVersion}));
  MLOS_ASSIGN_OR_RETURN(Channel::Incoming message, channel_.Receive(true));
  if (message.header.type != MessageType::kWelcome || message.files.size() != 3) {
    return InvalidArgument("wanted Welcome with three files");
  }
  MLOS_RETURN_IF_ERROR(Decode(message.payload, &welcome_));
  if (welcome_.version != kProtocolVersion) {
    return Unimplemented("the host wants protocol " + std::to_string(welcome_.version) +
                         ", this worker speaks " + std::to_string(kProtocolVersion));
  }
  if (welcome_.control_bytes != kControlBytes) return InvalidArgument("control memory of an unknown size");
  welcome_.heartbeat_ms = std::clamp<uint32_t>(welcome_.heartbeat_ms, 1, 60'000);
  using os::SharedMemory;
  const auto attach = [&](size_t file, uint64_t bytes, SharedMemory::Access access) {
    return SharedMemory::Attach(std::move(message.files[file]), bytes, access);
  };
  MLOS_ASSIGN_OR_RETURN(auto control, attach(0, welcome_.control_bytes, SharedMemory::Access::kReadWrite));
  MLOS_ASSIGN_OR_RETURN(auto input, attach(1, welcome_.input_bytes, SharedMemory::Access::kReadOnly));
  MLOS_ASSIGN_OR_RETURN(auto output, attach(2, welcome_.output_bytes, SharedMemory::Access::kReadWrite));
  parts_.control = std::make_shared<SharedMemory>(std::move(control));
  parts_.input = std::make_shared<SharedMemory>(std::move(input));
  const ControlView view(parts_.control->data());
  if (view.header().magic != kControlMagic) return InvalidArgument("control memory without its magic number");
  parts_.output = std::make_shared<SharedArena>(
      std::move(output),
      [control = parts_.control, view](BlockAllocator& blocks) { TakeReleases(view, blocks); });
  return OkStatus();
}

std::vector<int> Session::OpenFiles() const {
  return {channel_.fd(), parts_.control->fd().get(), parts_.input->fd().get(),
          parts_.output->memory().fd().get()};
}

Status Session::OpenPlugin() {
  MLOS_ASSIGN_OR_RETURN(const Channel::Incoming message, channel_.Receive(true));
  Open open;
  if (message.header.type != MessageType::kOpen) return InvalidArgument("wanted Open");
  MLOS_RETURN_IF_ERROR(Decode(message.payload, &open));
  MLOS_ASSIGN_OR_RETURN(const os::SandboxSpec spec, SandboxOf(open, OpenFiles()));
  const Result<os::SandboxReport> sandbox = os::EnterSandbox(spec);
  if (!sandbox.ok()) {
    Refuse(sandbox.status());
    return OkStatus();
  }
  // A change of capabilities undoes it.
  os::EndWithParent();
  plugin::LogFn log = [this](plugin::LogLevel level, const std::string&, std::string_view text) {
    (void)channel_.SendMessage(LogLine{static_cast<uint32_t>(level), std::string(text)});
  };
  auto library = plugin::PluginLibrary::Open(open.plugin_path, open.plugin_options, std::move(log));
  if (!library.ok()) {
    Refuse(library.status());
    return OkStatus();
  }
  library_ = std::move(*library);
  const plugin::PluginDescription& d = library_->description();
  return channel_.SendMessage(Opened{d.id, d.version, d.engine_version, d.formats, d.frameworks,
                                     d.capabilities, sandbox->Serialize()});
}

// Whatever is asked next will find the session ended.
void Session::Refuse(const Status& status) { (void)channel_.SendMessage(ErrorReply{status}); }

Status Session::Handle(const Channel::Incoming& message) {
  switch (message.header.type) {
    case MessageType::kLoad:
    case MessageType::kEstimate: {
      const bool loads = message.header.type == MessageType::kLoad;
      Load load;
      MLOS_RETURN_IF_ERROR(Decode(message.payload, &load));
      if (busy_.joinable()) busy_.join();
      busy_ = std::thread([this, loads, load] { loads ? LoadModel(load) : Estimate(load); });
      return OkStatus();
    }
    case MessageType::kCancel: {
      MutexLock lock(mu_);
      if (pool_) pool_->Cancel(message.header.id);
      return OkStatus();
    }
    case MessageType::kUnload:
      Unload();
      ended_ = true;
      return OkStatus();
    default:
      return InvalidArgument("a message of type " +
                             std::to_string(static_cast<uint32_t>(message.header.type)) +
                             " does not belong here");
  }
}

void Session::LoadModel(const Load& load) {
  MutexLock lock(mu_);
  if (library_ == nullptr || instance_ != nullptr)
    return Refuse(FailedPrecondition("this worker cannot load a model"));
  auto instance = plugin::LocalInstance::Load(library_, timer_, OptionsOf(load));
  if (!instance.ok()) return Refuse(instance.status());
  instance_ = std::move(*instance);
  pool_ = std::make_unique<CallPool>(parts_, channel_, *instance_, welcome_.max_threads, welcome_.spin_us);
  (void)channel_.SendMessage(Loaded{instance_->interface()});
}

void Session::Estimate(const Load& load) {
  if (library_ == nullptr) return Refuse(FailedPrecondition("this worker has no plugin"));
  const auto estimate = plugin::EstimateWith(*library_, OptionsOf(load));
  if (!estimate.ok()) return Refuse(estimate.status());
  (void)channel_.SendMessage(Estimated{estimate->private_bytes, estimate->mapped_bytes,
                                       estimate->device_bytes, estimate->per_call_bytes});
}

void Session::Unload() {
  if (busy_.joinable()) busy_.join();
  MutexLock lock(mu_);
  pool_.reset();
  instance_.reset();
}

void Session::Beat() {
  ControlHeader& header = ControlView(parts_.control->data()).header();
  header.heartbeat.fetch_add(1, std::memory_order_relaxed);
  if (parts_.output->was_refused_memory()) header.output_refused.store(1, std::memory_order_relaxed);
  // While the model loads the lock is held, and there is nothing to count.
  if (!mu_.TryLock()) return;
  if (instance_) {
    const plugin::InstanceStats stats = instance_->stats();
    header.tokens_prompt.store(stats.tokens_prompt, std::memory_order_relaxed);
    header.tokens_generated.store(stats.tokens_generated, std::memory_order_relaxed);
    header.private_bytes.store(stats.private_bytes, std::memory_order_relaxed);
  }
  mu_.Unlock();
}

}  // namespace mlos::worker
