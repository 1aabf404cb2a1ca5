// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>

#include "os/sandbox.h"

namespace mlos::os {
namespace {

constexpr std::pair<Mechanism, std::string_view> kNames[] = {
    {Mechanism::kDescriptors, "descriptors"},
    {Mechanism::kOomScore, "oom_score"},
    {Mechanism::kUserNamespace, "user_namespace"},
    {Mechanism::kNetworkNamespace, "network_namespace"},
    {Mechanism::kIpcNamespace, "ipc_namespace"},
    {Mechanism::kMountNamespace, "mount_namespace"},
    {Mechanism::kLimits, "limits"},
    {Mechanism::kCapabilities, "capabilities"},
    {Mechanism::kNoNewPrivileges, "no_new_privileges"},
    {Mechanism::kLandlock, "landlock"},
    {Mechanism::kSystemCalls, "system_calls"},
};

constexpr size_t kMaxLines = 64;

std::optional<MechanismState::State> FindState(std::string_view name) {
  using State = MechanismState::State;
  for (const State state : {State::kInForce, State::kMissing, State::kOff}) {
    if (StateName(state) == name) return state;
  }
  return std::nullopt;
}

}  // namespace

std::string_view MechanismName(Mechanism mechanism) {
  for (const auto& [value, name] : kNames) {
    if (value == mechanism) return name;
  }
  return "unknown";
}

std::optional<Mechanism> FindMechanism(std::string_view name) {
  for (const auto& [value, text] : kNames) {
    if (text == name) return value;
  }
  return std::nullopt;
}

std::string_view StateName(MechanismState::State state) {
  switch (state) {
    case MechanismState::State::kInForce:
      return "in_force";
    case MechanismState::State::kMissing:
      return "missing";
    case MechanismState::State::kOff:
      return "off";
  }
  return "unknown";
}

const MechanismState* SandboxReport::Find(Mechanism mechanism) const {
  for (const MechanismState& state : mechanisms) {
    if (state.mechanism == mechanism) return &state;
  }
  return nullptr;
}

bool SandboxReport::InForce(Mechanism mechanism) const {
  const MechanismState* state = Find(mechanism);
  return state != nullptr && state->state == MechanismState::State::kInForce;
}

std::string SandboxReport::Serialize() const {
  std::string text;
  for (const MechanismState& state : mechanisms) {
    std::string detail = state.detail;
    for (char& c : detail) {
      if (c == '\n' || c == '\t' || c == '\r') c = ' ';
    }
    text.append(MechanismName(state.mechanism)).append("\t").append(StateName(state.state)).append("\t");
    text.append(detail).append("\n");
  }
  return text;
}

Result<SandboxReport> SandboxReport::Parse(std::string_view text) {
  SandboxReport report;
  for (size_t lines = 0; !text.empty(); ++lines) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos || lines == kMaxLines)
      return InvalidArgument("sandbox report: cut off or too long");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const size_t first = line.find('\t');
    const size_t second = first == std::string_view::npos ? first : line.find('\t', first + 1);
    if (second == std::string_view::npos)
      return InvalidArgument("sandbox report: a line without three fields");
    const auto state = FindState(line.substr(first + 1, second - first - 1));
    if (!state) return InvalidArgument("sandbox report: unknown state");
    // A newer worker may know more mechanisms than this host.
    const auto mechanism = FindMechanism(line.substr(0, first));
    if (!mechanism) continue;
    if (report.Find(*mechanism) != nullptr) return InvalidArgument("sandbox report: a mechanism comes twice");
    report.mechanisms.push_back({*mechanism, *state, std::string(line.substr(second + 1))});
  }
  return report;
}

}  // namespace mlos::os
