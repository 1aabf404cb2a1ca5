// SPDX-License-Identifier: Apache-2.0
#include "axon/progress.h"

#include <algorithm>

#include "axon/format.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kTerminalPause = kSecond / 10;
constexpr int64_t kPlainPause = 5 * kSecond;
constexpr int64_t kSamplePause = kSecond / 2;
}  // namespace

Progress::Progress(ProgressStyle style, Write write, Clock& clock)
    : style_(style), write_(std::move(write)), clock_(clock), start_ns_(clock.MonotonicNs()) {}

void Progress::Begin(uint64_t total_bytes, std::vector<std::string> names) {
  total_ = total_bytes;
  names_ = std::move(names);
  done_ = downloaded_ = resumed_ = 0;
  start_ns_ = shown_ns_ = sample_ns_ = clock_.MonotonicNs();
  sample_bytes_ = 0;
  bytes_per_s_ = 0;
  active_ = true;
}

void Progress::OnBytes(size_t index, int64_t bytes) {
  done_ = bytes < 0 ? done_ - std::min(done_, static_cast<uint64_t>(-bytes))
                    : done_ + static_cast<uint64_t>(bytes);
  if (bytes > 0) downloaded_ += static_cast<uint64_t>(bytes);
  current_ = index;
  const int64_t now = clock_.MonotonicNs();
  if (now - sample_ns_ >= kSamplePause) {
    const double recent =
        static_cast<double>(downloaded_ - sample_bytes_) * kSecond / static_cast<double>(now - sample_ns_);
    // Half the old value: steady enough to read, quick enough to notice.
    bytes_per_s_ = bytes_per_s_ == 0 ? recent : (bytes_per_s_ + recent) / 2;
    sample_ns_ = now;
    sample_bytes_ = downloaded_;
  }
  Show(false);
}

void Progress::OnResumed(size_t index, uint64_t bytes) {
  done_ += bytes;
  resumed_ += bytes;
  if (style_.quiet) return;
  ClearLine();
  write_("going on with " + Plain(names_.at(index)) + ": " + os::FormatBytes(bytes) + " are here already\n");
}

void Progress::OnRetry(size_t index, const std::string& reason, int64_t delay_ms) {
  if (style_.quiet) return;
  ClearLine();
  const std::string when = delay_ms > 0 ? " in " + Seconds(static_cast<double>(delay_ms) / 1000) : "";
  write_(Plain(names_.at(index)) + ": " + Plain(reason) + "; trying again" + when + "\n");
}

std::string Progress::Line() const {
  const uint64_t shown = std::min(done_, total_);
  const uint64_t percent =
      total_ == 0 ? 100
                  : static_cast<uint64_t>(static_cast<double>(shown) * 100 / static_cast<double>(total_));
  std::string numbers = os::FormatBytes(shown) + " of " + os::FormatBytes(total_);
  if (bytes_per_s_ > 0) {
    numbers += "  " + os::FormatBytes(static_cast<uint64_t>(bytes_per_s_)) + "/s";
    if (shown < total_)
      numbers += "  " + Seconds(static_cast<double>(total_ - shown) / bytes_per_s_) + " left";
  }
  std::string head = std::to_string(percent) + " %";
  head.insert(0, 5 - std::min<size_t>(head.size(), 5), ' ');
  std::string line = head + "  " + numbers;
  if (current_ < names_.size() && shown < total_) line += "  " + Plain(names_[current_]);
  constexpr size_t kBar = 24;
  const auto columns = static_cast<size_t>(std::max(style_.columns, 20)) - 1;
  if (style_.terminal && line.size() + kBar + 4 <= columns) {
    const size_t full = static_cast<size_t>(percent) * kBar / 100;
    std::string bar = std::string(full, '=') + std::string(kBar - full, ' ');
    if (full > 0 && full < kBar) bar[full - 1] = '>';
    line = head + " [" + bar + "]" + line.substr(head.size());
  }
  return style_.terminal && line.size() > columns ? line.substr(0, columns) : line;
}

void Progress::ClearLine() {
  if (on_line_) write_("\r\x1b[K");
  on_line_ = false;
}

void Progress::Show(bool force) {
  if (style_.quiet || !active_) return;
  const int64_t now = clock_.MonotonicNs();
  if (!force && now - shown_ns_ < (style_.terminal ? kTerminalPause : kPlainPause)) return;
  shown_ns_ = now;
  if (!style_.terminal) {
    write_(Line() + "\n");
    return;
  }
  write_("\r" + Line() + "\x1b[K");
  on_line_ = true;
}

void Progress::End() {
  if (!active_) return;
  // The speed of all of it is what the last line shows.
  if (elapsed_ns() > 0)
    bytes_per_s_ = static_cast<double>(downloaded_) * kSecond / static_cast<double>(elapsed_ns());
  Show(true);
  if (on_line_) write_("\n");
  on_line_ = false;
  active_ = false;
}

}  // namespace mlos::axon
