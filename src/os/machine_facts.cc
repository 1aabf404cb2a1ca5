// SPDX-License-Identifier: Apache-2.0
#include "os/machine_facts.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <charconv>
#include <fstream>
#include <set>
#include <string_view>
#include <thread>

#include "os/errors.h"
#include "os/file.h"
#include "os/process.h"

namespace mlos::os {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxText = 8U << 20U;  // /proc/cpuinfo of a machine with many CPUs
constexpr const char* kFeatures[] = {
    "sse4_2",      "avx",         "f16c",     "fma",      "avx2",     "avx_vnni", "avx512f",
    "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimd",    "asimdhp",
    "asimddp",     "i8mm",        "bf16",     "sve",      "sve2",     "sme",
};

// Until the end: files of /proc say that they are empty.
std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char buffer[4096];
  while (text.size() < kMaxText && (file.read(buffer, sizeof buffer), file.gcount() > 0)) {
    text.append(buffer, static_cast<size_t>(file.gcount()));
  }
  return text;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\n'))
    text.remove_suffix(1);
  return text;
}

// The value of the first line "key<spaces>separator value"; "" when there is none.
std::string_view ValueOf(std::string_view text, std::string_view key, char separator) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t at = line.find(separator);
    if (at != std::string_view::npos && Trimmed(line.substr(0, at)) == key)
      return Trimmed(line.substr(at + 1));
  }
  return {};
}

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::set<std::string, std::less<>> Words(std::string_view text) {
  std::set<std::string, std::less<>> words;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    if (end != 0) words.emplace(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return words;
}

void ReadCpu(const fs::path& root, MachineFacts* facts) {
  const std::string text = Read(root / "proc/cpuinfo");
  facts->cpu_model = ValueOf(text, "model name", ':');
  std::string_view flags = ValueOf(text, "flags", ':');
  if (flags.empty()) flags = ValueOf(text, "Features", ':');
  const auto words = Words(flags);
  for (const char* feature : kFeatures) {
    if (words.contains(std::string_view(feature))) facts->cpu_features.emplace_back(feature);
  }
}

void ReadHugePages(const fs::path& root, MachineFacts* facts) {
  const std::string text = Read(root / "proc/meminfo");
  facts->huge_pages_free = Number(ValueOf(text, "HugePages_Free", ':'));
  facts->huge_page_bytes = Number(ValueOf(text, "Hugepagesize", ':')) * 1024;
  // "always [madvise] never"
  const std::string choice = Read(root / "sys/kernel/mm/transparent_hugepage/enabled");
  const size_t open = choice.find('[');
  const size_t close = choice.find(']');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    facts->transparent_huge_pages = choice.substr(open + 1, close - open - 1);
  }
}

}  // namespace

MachineFacts ReadMachineFacts(const fs::path& root) {
  MachineFacts facts;
  utsname name{};
  if (::uname(&name) == 0) {
    facts.kernel = name.release;
    facts.architecture = name.machine;
  }
  std::string release = Read(root / "etc/os-release");
  if (release.empty()) release = Read(root / "usr/lib/os-release");
  std::string_view pretty = ValueOf(release, "PRETTY_NAME", '=');
  if (pretty.size() >= 2 && pretty.front() == '"' && pretty.back() == '"')
    pretty = pretty.substr(1, pretty.size() - 2);
  facts.distribution = pretty;
  facts.cpus = AvailableCpus();
  ReadCpu(root, &facts);
  ReadHugePages(root, &facts);
  facts.memory_pressure = !Read(root / "proc/pressure/memory").empty();
  facts.kernel_module = Exists(root / "dev/mlos-ml");
  return facts;
}

Status RealtimePermitted() {
  int error = 0;
  // A thread of its own, so that the caller's policy stays.
  std::thread([&error] {
    sched_param parameters{};
    parameters.sched_priority = 1;
    if (::sched_setscheduler(0, SCHED_RR, &parameters) != 0) error = errno;
  }).join();
  if (error == 0) return OkStatus();
  if (error == EPERM) {
    return PermissionDenied(
        "not permitted; give the service LimitRTPRIO=1 (or CAP_SYS_NICE), in a container also a CPU "
        "real-time budget");
  }
  return Internal(std::string("sched_setscheduler: ") + ::strerror(error));
}

Result<std::string> FileSystemName(const fs::path& path) {
  static constexpr std::pair<unsigned, const char*> kNames[] = {
      {0xEF53, "ext4"},          {0x58465342, "xfs"},  {0x9123683E, "btrfs"},    {0x01021994, "tmpfs"},
      {0x794C7630, "overlayfs"}, {0x6969, "nfs"},      {0xFF534D42, "cifs"},     {0x65735546, "fuse"},
      {0x2FC12FC1, "zfs"},       {0xF2F52010, "f2fs"}, {0x4D44, "vfat"},         {0x2011BAB0, "exfat"},
      {0xCA451A4E, "bcachefs"},  {0x01021997, "9p"},   {0x6A656A63, "virtiofs"},
  };
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, "statfs", path);
  const auto type = static_cast<unsigned>(info.f_type);
  for (const auto& [number, name] : kNames) {
    if (number == type) return std::string(name);
  }
  char text[20];
  const auto end = std::to_chars(text, text + sizeof text, type, 16);
  return "0x" + std::string(text, end.ptr);
}

}  // namespace mlos::os
