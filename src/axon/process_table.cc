// SPDX-License-Identifier: Apache-2.0
#include "axon/process_table.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "axon/format.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {

using client::ProcessInfo;

std::string Bytes(const std::optional<uint64_t>& bytes) { return bytes ? os::FormatBytes(*bytes) : "-"; }

std::string Ms(const std::optional<double>& ms) {
  if (!ms) return "-";
  char text[32];
  std::snprintf(text, sizeof text, *ms < 10 ? "%.2f" : *ms < 1000 ? "%.1f" : "%.0f", *ms);
  return text;
}

std::string Until(const ProcessInfo& m) {
  if (m.state != "ready") return "-";
  if (m.pinned) return "pinned";
  if (m.draining) return "leaving";
  if (m.expires_in_ms) return InTime(*m.expires_in_ms);
  return m.keep_alive == "forever" ? "forever" : "in use";
}

std::string State(const ProcessInfo& m) { return m.draining ? "draining" : m.state; }

}  // namespace

std::string InTime(double ms) {
  const auto seconds = static_cast<uint64_t>(std::llround(std::max(ms, 0.0) / 1000));
  if (seconds == 0) return "now";
  if (seconds < 90) return "in " + std::to_string(seconds) + "s";
  if (seconds < 5400) return "in " + std::to_string((seconds + 30) / 60) + "m";
  return "in " + std::to_string((seconds + 1800) / 3600) + "h";
}

std::string ProcessTable(const client::ProcessList& list, bool all) {
  std::vector<std::vector<std::string>> rows = {{"MODEL", "STATE", "PID", "PRIVATE", "MAPPED", "QUEUE",
                                                 "BUSY", "P50 ms", "P90 ms", "P99 ms", "UNTIL", "RESTARTS"}};
  std::string notes;
  for (const ProcessInfo& m : list.models) {
    if (!all && m.state == "registered" && m.queued == 0) continue;
    // Measured where it can be, else what it was promised.
    const bool in_core = m.state == "ready" && !m.pid;
    rows.push_back({Plain(m.id) + (m.latest && !m.id.ends_with("@latest") ? " (latest)" : ""), State(m),
                    m.pid     ? std::to_string(*m.pid)
                    : in_core ? "core"
                              : "-",
                    Bytes(m.private_bytes ? m.private_bytes : m.lease_private_bytes),
                    Bytes(m.mapped_bytes ? m.mapped_bytes : m.lease_shared_bytes), std::to_string(m.queued),
                    std::to_string(m.running), Ms(m.p50_ms), Ms(m.p90_ms), Ms(m.p99_ms), Until(m),
                    std::to_string(m.restarts)});
    if (!m.waits_for.empty()) notes += "waiting: " + Plain(m.waits_for) + "\n";
    if (!m.error.empty()) notes += Plain(m.id) + ": " + Plain(m.error) + "\n";
  }
  const client::MemoryInfo& memory = list.memory;
  std::string out = rows.size() > 1 ? Table(rows) : "no models are loaded\n";
  out += "memory: " + os::FormatBytes(memory.leased_bytes) + " of " + os::FormatBytes(memory.budget_bytes) +
         " in use";
  if (memory.shared_bytes > 0) out += ", " + os::FormatBytes(memory.shared_bytes) + " of it mapped files";
  if (memory.reserved_bytes > 0)
    out += ", " + os::FormatBytes(memory.reserved_bytes) + " for loads under way";
  out += "; " + os::FormatBytes(memory.free_bytes) + " free; budget: " + Plain(memory.budget_source) + "\n";
  return out + notes;
}

}  // namespace mlos::axon
