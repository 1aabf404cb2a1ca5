// SPDX-License-Identifier: Apache-2.0
#include "os/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "os/sandbox_parts.h"

namespace mlos::os {
namespace sandbox {

Outcome MissingErrno(int error, const std::string& what) { return Missing(what + ": " + ::strerror(error)); }

namespace {

int ThreadCount() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Threads:", 0) == 0) return std::atoi(line.c_str() + 8);
  }
  return 1;
}

Outcome Apply(Mechanism mechanism, const SandboxSpec& spec, Context* context) {
  switch (mechanism) {
    case Mechanism::kDescriptors:
      return CloseDescriptors(spec);
    case Mechanism::kOomScore:
      return RaiseOomScore(spec.oom_score_adj);
    case Mechanism::kUserNamespace: {
      Outcome outcome = EnterUserNamespace();
      context->in_user_namespace = outcome.in_force;
      return outcome;
    }
    case Mechanism::kNetworkNamespace:
      return EnterNetworkNamespace();
    case Mechanism::kIpcNamespace:
      return EnterIpcNamespace();
    case Mechanism::kMountNamespace:
      return EnterMountNamespace(context->paths);
    case Mechanism::kLimits:
      return ApplyLimits(spec.limits, context->in_user_namespace);
    case Mechanism::kCapabilities:
      return DropCapabilities();
    case Mechanism::kNoNewPrivileges:
      return SetNoNewPrivileges();
    case Mechanism::kLandlock:
      return RestrictWithLandlock(context->paths);
    case Mechanism::kSystemCalls:
      return FilterSystemCalls(!spec.write_paths.empty(), !spec.device_paths.empty());
  }
  return Missing("unknown mechanism");
}

Status RequireAll(const SandboxReport& report) {
  std::string missing;
  for (const MechanismState& state : report.mechanisms) {
    if (state.state != MechanismState::State::kMissing) continue;
    missing.append(missing.empty() ? "" : "; ")
        .append(MechanismName(state.mechanism))
        .append(": ")
        .append(state.detail);
  }
  if (missing.empty()) return OkStatus();
  return Unimplemented("the sandbox is required and this machine lacks parts of it: " + missing +
                       "; allow what is missing, or turn these mechanisms off for the model");
}

}  // namespace
}  // namespace sandbox

Result<SandboxReport> EnterSandbox(const SandboxSpec& spec) {
  SandboxReport report;
  if (spec.mode == SandboxMode::kOff) return report;
  if (const int threads = sandbox::ThreadCount(); threads != 1) {
    return FailedPrecondition("the sandbox must be entered by a process with one thread; this one has " +
                              std::to_string(threads));
  }
  sandbox::Context context;
  context.paths = sandbox::AllowedPaths(spec);
  for (const Mechanism mechanism : kAllMechanisms) {
    if (std::find(spec.off.begin(), spec.off.end(), mechanism) != spec.off.end()) {
      report.mechanisms.push_back({mechanism, MechanismState::State::kOff, "turned off by configuration"});
      continue;
    }
    sandbox::Outcome outcome = sandbox::Apply(mechanism, spec, &context);
    report.mechanisms.push_back(
        {mechanism, outcome.in_force ? MechanismState::State::kInForce : MechanismState::State::kMissing,
         std::move(outcome.detail)});
  }
  if (spec.mode == SandboxMode::kRequire) MLOS_RETURN_IF_ERROR(sandbox::RequireAll(report));
  return report;
}

Result<SandboxReport> ProbeSandbox() {
  int pipe_fds[2];
  if (::pipe(pipe_fds) != 0) return Internal(std::string("pipe: ") + ::strerror(errno));
  const pid_t child = ::fork();
  if (child < 0) return Internal(std::string("fork: ") + ::strerror(errno));
  if (child == 0) {
    SandboxSpec spec;
    spec.keep_fds = {pipe_fds[1]};
    const auto report = EnterSandbox(spec);
    const std::string text = report.ok() ? report->Serialize() : "";
    const ssize_t written = ::write(pipe_fds[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(pipe_fds[1]);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(pipe_fds[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  ::close(pipe_fds[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (text.empty())
    return Internal("the process that tried the sandbox ended without a report (wait status " +
                    std::to_string(status) + ")");
  return SandboxReport::Parse(text);
}

}  // namespace mlos::os
