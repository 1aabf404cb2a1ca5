// SPDX-License-Identifier: Apache-2.0
#include "os/memory_info.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/checked.h"
#include "os/errors.h"

namespace mlos::os {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxProcText = 1 << 20;

// /proc and cgroup files have no size until they are read.
Result<std::string> ReadText(const fs::path& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoStatus(errno, "open", path);
  std::string text;
  char buffer[4096];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(in.gcount()));
    if (text.size() > kMaxProcText) return DataLoss("'" + path.string() + "' is longer than 1 MiB");
  }
  if (in.bad()) return NotFound("cannot read '" + path.string() + "': the process has ended");
  return text;
}

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

void ForEachLine(std::string_view text, const std::function<void(std::string_view)>& f) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    f(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<uint64_t> Number(std::string_view text) {
  text = Trimmed(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "Name:   12 kB" -> bytes.
std::optional<uint64_t> KilobyteLine(std::string_view text, std::string_view name) {
  std::optional<uint64_t> found;
  ForEachLine(text, [&](std::string_view line) {
    if (found || !line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') return;
    std::string_view value = Trimmed(line.substr(name.size() + 1));
    if (!value.ends_with(" kB")) return;
    value.remove_suffix(3);
    if (const auto kilobytes = Number(value)) found = CheckedMul<uint64_t>(*kilobytes, 1024);
  });
  return found;
}

fs::path Under(const fs::path& root, std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return root / path;
}

// Versions 1 and 2 differ in the file's name and in the word for "no limit".
std::optional<uint64_t> LimitIn(const fs::path& file) {
  const Result<std::string> text = ReadText(file);
  if (!text.ok()) return std::nullopt;
  const auto limit = Number(*text);
  // Version 1 writes the largest page-aligned number.
  if (!limit || *limit >= (uint64_t{1} << 60U)) return std::nullopt;
  return limit;
}

// The lowest limit of `own` and the groups above it, up to `mount`.
void LowestLimit(const fs::path& mount, std::string_view own, const char* file, int version,
                 CgroupMemory* out) {
  fs::path group = Under(mount, own).lexically_normal();
  // In a container the group's path is the host's, and only the mount itself is visible.
  std::error_code ignored;
  if (!fs::is_directory(group, ignored)) group = mount;
  out->own_group = group;
  while (true) {
    if (const auto limit = LimitIn(group / file); limit && (out->version == 0 || *limit < out->limit)) {
      out->version = version;
      out->limit = *limit;
      out->group = group;
    }
    if (group == mount || group.native().size() <= mount.native().size()) return;
    group = group.parent_path();
  }
}

}  // namespace

Result<ProcessMemory> ParseSmapsRollup(std::string_view text) {
  ProcessMemory out;
  const std::pair<const char*, uint64_t*> needed[] = {
      {"Rss", &out.rss}, {"Pss", &out.pss}, {"Anonymous", &out.anonymous}};
  for (const auto& [name, target] : needed) {
    const auto value = KilobyteLine(text, name);
    if (!value) return DataLoss(std::string("smaps_rollup has no field '") + name + "'");
    *target = *value;
  }
  // Absent before Linux 5.4; the shares are then not told apart.
  out.shmem = KilobyteLine(text, "Pss_Shmem").value_or(0);
  out.file_pss =
      KilobyteLine(text, "Pss_File").value_or(out.pss > out.anonymous ? out.pss - out.anonymous : 0);
  out.swap = KilobyteLine(text, "SwapPss").value_or(0);
  const uint64_t not_file = CheckedAdd(out.anonymous, out.shmem).value_or(out.rss);
  out.file = out.rss > not_file ? out.rss - not_file : 0;
  if (!CheckedAdd(not_file, out.swap)) return DataLoss("smaps_rollup gives sizes that overflow");
  return out;
}

Result<ProcessMemory> ParseProcessStatus(std::string_view text) {
  const auto anonymous = KilobyteLine(text, "RssAnon");
  const auto file = KilobyteLine(text, "RssFile");
  const auto shmem = KilobyteLine(text, "RssShmem");
  if (!anonymous || !file || !shmem)
    return DataLoss("the status of the process has no RssAnon, RssFile or RssShmem");
  ProcessMemory out{.anonymous = *anonymous, .shmem = *shmem, .file = *file, .file_pss = *file};
  out.swap = KilobyteLine(text, "VmSwap").value_or(0);
  const auto own = CheckedAdd(out.anonymous, out.shmem);
  const auto all = own ? CheckedAdd(*own, out.file) : std::nullopt;
  if (!all || !CheckedAdd(*own, out.swap))
    return DataLoss("the status of the process gives sizes that overflow");
  out.rss = out.pss = *all;
  return out;
}

Result<ProcessMemory> ReadProcessMemory(int64_t pid) {
  const std::string who = pid == 0 ? "self" : std::to_string(pid);
  const Result<std::string> rollup = ReadText("/proc/" + who + "/smaps_rollup");
  if (rollup.status().code() == Code::kPermissionDenied) {
    // A process that the sandbox hides even from its parent.
    MLOS_ASSIGN_OR_RETURN(const std::string status, ReadText("/proc/" + who + "/status"));
    return ParseProcessStatus(status);
  }
  if (!rollup.ok()) return rollup.status();
  const std::string& text = *rollup;
  // A process that is ending has no pages, and the file then no lines.
  if (text.empty()) return NotFound("process " + who + " has ended");
  return ParseSmapsRollup(text);
}

Result<MachineMemory> ParseMeminfo(std::string_view text) {
  const auto total = KilobyteLine(text, "MemTotal");
  const auto available = KilobyteLine(text, "MemAvailable");
  if (!total || !available) return DataLoss("/proc/meminfo has no MemTotal or no MemAvailable");
  return MachineMemory{.total = *total, .available = *available};
}

Result<MachineMemory> ReadMachineMemory() {
  MLOS_ASSIGN_OR_RETURN(const std::string text, ReadText("/proc/meminfo"));
  return ParseMeminfo(text);
}

CgroupMemory FindCgroupMemory(const fs::path& root) {
  CgroupMemory out;
  const Result<std::string> groups = ReadText(Under(root, "proc/self/cgroup"));
  if (!groups.ok()) return out;
  ForEachLine(*groups, [&](std::string_view line) {
    // "0::/path" is version 2; "N:memory,...:/path" version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (controllers.empty()) {
      LowestLimit(Under(root, "sys/fs/cgroup"), path, "memory.max", 2, &out);
    } else if (("," + std::string(controllers) + ",").find(",memory,") != std::string::npos) {
      LowestLimit(Under(root, "sys/fs/cgroup/memory"), path, "memory.limit_in_bytes", 1, &out);
    }
  });
  return out;
}

CgroupEvents ParseCgroupEvents(std::string_view text) {
  CgroupEvents out;
  ForEachLine(text, [&](std::string_view line) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return;
    const std::string_view name = line.substr(0, space);
    const auto value = Number(line.substr(space + 1));
    if (!value) return;
    if (name == "high") out.high = *value;
    if (name == "max") out.max = *value;
    if (name == "oom_kill") out.oom_kill = *value;
  });
  return out;
}

Result<CgroupEvents> ReadCgroupEvents(const fs::path& group) {
  MLOS_ASSIGN_OR_RETURN(const std::string text, ReadText(group / "memory.events"));
  return ParseCgroupEvents(text);
}

}  // namespace mlos::os
