// SPDX-License-Identifier: Apache-2.0
// The access log: one line a request, written in batches, so that an I/O thread never waits for a disk or a terminal.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "frontend/common/access_log.h"

namespace mlos::daemon {

// Thread-safe. Lines wait for at most kDelay; the destructor writes what is left.
class AccessLogWriter {
 public:
  // `out` is open for appending and outlives the writer. `stamp`: lines begin with the time (systemd stamps them itself).
  AccessLogWriter(std::FILE* out, bool stamp, Clock& clock);
  ~AccessLogWriter();

  // When more than kMaxWaitingBytes wait because the disk does not keep up, lines are dropped and counted.
  void Write(const frontend::AccessRecord& record);

 private:
  static constexpr std::chrono::milliseconds kDelay{100};
  static constexpr size_t kMaxWaitingBytes = size_t{4} << 20;

  void WriterLoop();
  // "2026-11-23T02:06:38.123+0000 ", or "" without stamps.
  void AppendStampLocked() MLOS_REQUIRES(mu_);

  // Constant after construction.
  std::FILE* const out_;
  const bool stamp_;
  Clock& clock_;

  Mutex mu_;
  CondVar changed_;
  std::string waiting_ MLOS_GUARDED_BY(mu_);
  size_t dropped_ MLOS_GUARDED_BY(mu_) = 0;
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;
  int64_t stamp_second_ MLOS_GUARDED_BY(mu_) = -1;
  std::string stamp_text_ MLOS_GUARDED_BY(mu_);  // up to the second

  std::thread thread_;
};

}  // namespace mlos::daemon
