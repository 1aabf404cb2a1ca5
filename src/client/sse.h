// SPDX-License-Identifier: Apache-2.0
// Server-sent events, read from bytes that come in any cuts.
//
//   stream = *( event )
//   event  = *( field EOL ) EOL
//   field  = ":" text / "data" [ ":" [ SP ] text ] / other
//   EOL    = CR LF / LF / CR
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::client {

// Not thread-safe.
class SseParser {
 public:
  // Called with the joined data of each event. False: no more events are wanted.
  using OnData = std::function<bool(const std::string& data)>;
  explicit SseParser(OnData on_data) : on_data_(std::move(on_data)) {}

  // kTooLarge when one event is over kMaxEventBytes; kCancelled after on_data said false.
  Status Feed(std::string_view bytes);
  static constexpr size_t kMaxEventBytes = 64U << 20U;

 private:
  Status EndLine();

  const OnData on_data_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace mlos::client
