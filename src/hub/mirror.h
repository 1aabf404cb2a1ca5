// SPDX-License-Identifier: Apache-2.0
// Serves a folder of models as a hub that speaks Hugging Face's HTTP API, for sites without internet and for tests.
// Layout of the folder: hub/mirror_catalog.h. Addresses: hub/mirror_target.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/status.h"

namespace mlos::hub {

struct MirrorOptions {
  std::filesystem::path root;
  std::string host = "127.0.0.1";
  uint16_t port = 0;                // 0: any free one
  std::string token;                // not empty: every request must bring it as a bearer token
  std::filesystem::path cache_dir;  // for digests; empty: in memory only
  int threads = 4;
  uint64_t throttle_bytes_per_s = 0;  // of one connection; 0: as fast as it goes
};

// Serves on threads of its own from Start until it is destroyed. Thread-safe.
class Mirror {
 public:
  virtual ~Mirror() = default;
  // kInvalidArgument: no such folder or address; kFailedPrecondition: the port is taken.
  static Result<std::unique_ptr<Mirror>> Start(const MirrorOptions& options);
  virtual uint16_t port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:8090": what HF_ENDPOINT is set to
};

}  // namespace mlos::hub
