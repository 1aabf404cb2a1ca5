// SPDX-License-Identifier: Apache-2.0
// How far a download is: a bar that is redrawn on a terminal, a line now and then elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "hub/download.h"

namespace mlos::axon {

struct ProgressStyle {
  bool terminal = false;  // may redraw its line
  bool quiet = false;     // says nothing at all
  int columns = 80;
};

// Writes through `write`, at most ten times a second on a terminal and once in five seconds elsewhere. Not thread-safe.
class Progress final : public hub::DownloadObserver {
 public:
  using Write = std::function<void(const std::string& text)>;
  Progress(ProgressStyle style, Write write, Clock& clock);
  ~Progress() override { End(); }

  // What is to come in all, and the names by index, before OnBytes.
  void Begin(uint64_t total_bytes, std::vector<std::string> names);
  void OnBytes(size_t index, int64_t bytes) override;
  void OnResumed(size_t index, uint64_t bytes) override;
  void OnRetry(size_t index, const std::string& reason, int64_t delay_ms) override;
  // Shows the last state and leaves the line; nothing on a second call.
  void End();

  uint64_t downloaded_bytes() const { return downloaded_; }  // in this run
  uint64_t resumed_bytes() const { return resumed_; }
  int64_t elapsed_ns() const { return clock_.MonotonicNs() - start_ns_; }

  // One line: "42 % [====>     ] 180 MB of 420 MB  85 MB/s  3 s left  model.safetensors", cut to the columns.
  std::string Line() const;

 private:
  void Show(bool force);
  void ClearLine();

  const ProgressStyle style_;
  const Write write_;
  Clock& clock_;
  std::vector<std::string> names_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  uint64_t downloaded_ = 0;
  uint64_t resumed_ = 0;
  size_t current_ = 0;
  int64_t start_ns_ = 0;
  int64_t shown_ns_ = 0;
  // For the speed of the last seconds.
  int64_t sample_ns_ = 0;
  uint64_t sample_bytes_ = 0;
  double bytes_per_s_ = 0;
  bool on_line_ = false;
  bool active_ = false;
};

}  // namespace mlos::axon
