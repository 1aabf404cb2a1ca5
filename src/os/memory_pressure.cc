// SPDX-License-Identifier: Apache-2.0
#include "os/memory_pressure.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

namespace mlos::os {
namespace {

// Some task waits for memory for 150 ms of a second. 1 s windows need no privilege from Linux 6.4 on only when they are a
// multiple of 2 s, so both are tried.
constexpr const char* kTriggers[] = {"some 300000 2000000", "some 150000 1000000"};

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void Reset(int fd) {
    Close();
    fd_ = fd;
  }

 private:
  void Close() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd_;
};

class LinuxPressure final : public MemoryPressure {
 public:
  LinuxPressure(const CgroupMemory& cgroup, const std::string& psi_file)
      : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    const std::string psi = OpenPsi(psi_file);
    const std::string group = OpenCgroup(cgroup);
    description_ = psi + "; " + group;
  }

  PressureSample Wait(int64_t timeout_ns) override {
    std::vector<pollfd> fds;
    fds.push_back({wake_.get(), POLLIN, 0});
    if (psi_.get() >= 0) fds.push_back({psi_.get(), POLLPRI, 0});
    if (events_.get() >= 0) fds.push_back({events_.get(), POLLPRI, 0});
    const int64_t ms = std::clamp<int64_t>(timeout_ns / 1'000'000, 0, std::numeric_limits<int>::max());
    ::poll(fds.data(), fds.size(), static_cast<int>(ms));
    PressureSample out;
    for (const pollfd& fd : fds) {
      if (fd.fd == psi_.get() && (fd.revents & POLLPRI) != 0) out.stalled = true;
      // The file went away: poll would answer at once for ever.
      if (fd.fd == psi_.get() && (fd.revents & (POLLERR | POLLNVAL)) != 0) psi_.Reset(-1);
    }
    uint64_t woken = 0;
    if (::read(wake_.get(), &woken, sizeof woken) < 0) woken = 0;
    ReadCounters(&out);
    return out;
  }

  void Interrupt() override {
    const uint64_t one = 1;
    if (::write(wake_.get(), &one, sizeof one) < 0) return;
  }

  const std::string& description() const override { return description_; }

 private:
  std::string OpenPsi(const std::string& file) {
    for (const char* trigger : kTriggers) {
      psi_.Reset(::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (psi_.get() < 0) break;
      if (::write(psi_.get(), trigger, std::strlen(trigger) + 1) > 0) return "stalls (" + file + ")";
    }
    const int error = errno;
    psi_.Reset(-1);
    return "stalls are not watched: " + file + ": " + std::strerror(error);
  }

  std::string OpenCgroup(const CgroupMemory& cgroup) {
    if (cgroup.own_group.empty()) return "no control group";
    const Result<CgroupEvents> now = ReadCgroupEvents(cgroup.own_group);
    if (!now.ok()) return "control group events are not watched: " + now.status().message();
    group_ = cgroup.own_group;
    last_ = *now;
    events_.Reset(::open((group_ / "memory.events").c_str(), O_RDONLY | O_CLOEXEC));
    return "control group " + group_.string();
  }

  void ReadCounters(PressureSample* out) {
    if (group_.empty()) return;
    // Reading through the descriptor re-arms its poll.
    char drop[1024];
    if (events_.get() >= 0 && ::pread(events_.get(), drop, sizeof drop, 0) < 0) events_.Reset(-1);
    const Result<CgroupEvents> now = ReadCgroupEvents(group_);
    if (!now.ok()) return;
    out->high = now->high > last_.high ? now->high - last_.high : 0;
    out->max = now->max > last_.max ? now->max - last_.max : 0;
    last_ = *now;
  }

  Descriptor wake_;
  Descriptor psi_;
  Descriptor events_;
  std::filesystem::path group_;
  CgroupEvents last_;
  std::string description_;
};

}  // namespace

std::unique_ptr<MemoryPressure> MemoryPressure::Open(const CgroupMemory& cgroup,
                                                     const std::string& psi_file) {
  return std::make_unique<LinuxPressure>(cgroup, psi_file);
}

}  // namespace mlos::os
