// SPDX-License-Identifier: Apache-2.0
// Brings the chosen files of a repository into a package: from the store itself, from this machine, from the hub.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "axon/progress.h"
#include "base/status.h"
#include "hub/adapter.h"
#include "package/store.h"

namespace mlos::axon {

struct FetchReport {
  uint64_t downloaded_bytes = 0;
  uint64_t resumed_bytes = 0;  // an earlier, killed try had brought them
  uint64_t copied_bytes = 0;   // from this machine: a local folder, a Hugging Face cache
  uint64_t stored_bytes = 0;   // the store had them already
  double download_s = 0;       // from the first request until the last digest was known
};

struct FetchOptions {
  hub::Settings settings;
  std::filesystem::path store_root;
  const std::atomic<bool>* interrupted = nullptr;
};

// Adds to `report`. Every byte is checked against the hub's digests; a file from this machine that does not match is
// downloaded instead. kResourceExhausted before the first byte when the disk has no room for what is to come.
Status Fetch(const hub::Adapter& adapter, const hub::Repository& repository,
             const std::vector<hub::RemoteFile>& files, const FetchOptions& options,
             package::Install* install, Progress* progress, FetchReport* report);

}  // namespace mlos::axon
