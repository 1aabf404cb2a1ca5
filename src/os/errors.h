// SPDX-License-Identifier: Apache-2.0
// errno as a Status whose code tells the caller's next move.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::os {

// "open '/x/y': no such file or directory". Missing -> kNotFound; not allowed or a read-only file system ->
// kPermissionDenied; no space, quota, file size limit, too many files -> kResourceExhausted; exists ->
// kAlreadyExists; would block -> kUnavailable; interrupted -> kCancelled; input/output error -> kDataLoss; an
// operation the file system lacks -> kUnimplemented; else kInternal.
Status ErrnoStatus(int error, std::string_view operation, const std::filesystem::path& path);

// kResourceExhausted that says how many bytes `path` needed and how many its file system has free.
Status NoSpace(int error, const std::filesystem::path& path, uint64_t needed_bytes);

// True for the errors that mean "there is no room": ENOSPC, EDQUOT, EFBIG.
bool IsNoSpace(int error);

// "1.5 GB": decimal units, for messages.
std::string FormatBytes(uint64_t bytes);

}  // namespace mlos::os
