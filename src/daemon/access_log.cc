// SPDX-License-Identifier: Apache-2.0
#include "daemon/access_log.h"

#include <fmt/format.h>

#include <ctime>
#include <iterator>
#include <utility>

namespace mlos::daemon {

AccessLogWriter::AccessLogWriter(std::FILE* out, bool stamp, Clock& clock)
    : out_(out), stamp_(stamp), clock_(clock), thread_([this] { WriterLoop(); }) {}

AccessLogWriter::~AccessLogWriter() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void AccessLogWriter::Write(const frontend::AccessRecord& record) {
  bool was_empty = false;
  {
    MutexLock lock(mu_);
    if (waiting_.size() > kMaxWaitingBytes) {
      ++dropped_;
      return;
    }
    was_empty = waiting_.empty();
    AppendStampLocked();
    fmt::format_to(std::back_inserter(waiting_), "info {} {} {} in={} out={} {} us id={} peer={}\n",
                   record.method, record.path, record.status, record.bytes_in, record.bytes_out,
                   record.duration_ns / 1000, record.request_id, record.peer);
  }
  if (was_empty) changed_.NotifyOne();
}

void AccessLogWriter::AppendStampLocked() {
  if (!stamp_) return;
  const int64_t now_ns = clock_.UnixNs();
  const int64_t second = now_ns / 1'000'000'000;
  if (second != stamp_second_) {
    stamp_second_ = second;
    const auto time = static_cast<std::time_t>(second);
    std::tm local{};
    localtime_r(&time, &local);
    char date[32];
    char zone[16];
    const size_t date_size = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    const size_t zone_size = std::strftime(zone, sizeof zone, "%z", &local);
    stamp_text_.assign(date, date_size);
    stamp_text_ += ".000";
    stamp_text_.append(zone, zone_size);
    stamp_text_ += ' ';
  }
  const auto millisecond = static_cast<int>(now_ns / 1'000'000 % 1000);
  constexpr size_t kAt = 20;  // of the milliseconds
  stamp_text_[kAt] = static_cast<char>('0' + millisecond / 100);
  stamp_text_[kAt + 1] = static_cast<char>('0' + millisecond / 10 % 10);
  stamp_text_[kAt + 2] = static_cast<char>('0' + millisecond % 10);
  waiting_ += stamp_text_;
}

void AccessLogWriter::WriterLoop() {
  while (true) {
    std::string lines;
    size_t dropped = 0;
    bool stopping = false;
    {
      MutexLock lock(mu_);
      while (waiting_.empty() && !stopping_) changed_.Wait(mu_);
      // Lines gather for a moment: one write for many.
      if (!stopping_) changed_.WaitFor(mu_, kDelay);
      lines.swap(waiting_);
      waiting_.reserve(lines.size());
      dropped = std::exchange(dropped_, 0);
      stopping = stopping_;
    }
    if (dropped > 0) lines += fmt::format("warning {} lines of the access log were dropped\n", dropped);
    std::fwrite(lines.data(), 1, lines.size(), out_);
    std::fflush(out_);
    if (stopping) return;
  }
}

}  // namespace mlos::daemon
