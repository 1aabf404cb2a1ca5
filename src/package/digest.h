// SPDX-License-Identifier: Apache-2.0
// SHA-256, streaming.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::package {

// Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void Update(std::span<const std::byte> data);
  void Update(std::string_view data) { Update(std::as_bytes(std::span(data))); }
  // 64 lower-case hex digits. Ends the stream.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view data);
Result<std::string> Sha256File(const std::filesystem::path& path);
// What git calls a file's blob id: sha1("blob <size>\0" + contents). Hugging Face uses it as the ETag of
// small files.
Result<std::string> GitBlobSha1File(const std::filesystem::path& path);
bool IsSha256Hex(std::string_view text);

}  // namespace mlos::package
