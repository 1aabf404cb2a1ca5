// SPDX-License-Identifier: Apache-2.0
// A hub adapter answers two questions: which files does a reference stand for, and where are their bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "hub/settings.h"
#include "package/ref.h"

namespace mlos::hub {

struct RemoteFile {
  std::string path;  // relative, "/" between parts; checked: no "..", not absolute, no control characters
  uint64_t size_bytes = 0;
  std::string sha256;    // of the contents; empty when the hub does not say
  std::string git_sha1;  // git blob id; empty when the hub does not say
};

// A repository at one commit.
struct Repository {
  std::string hub;     // "huggingface", "local"
  std::string id;      // as the hub names it, "org/name"
  std::string commit;  // pinned: 40 hex digits, or "sha256-..." of the file list for a local folder
  std::string url;     // page for people; no credentials
  std::string license;
  std::string task;
  std::vector<std::string> tags;
  std::vector<RemoteFile> files;  // sorted by path
  std::string note;               // for people: why something other than the hub answered; mostly empty
};

// Where the bytes of one file are: a file on this machine, or a URL that understands ranges.
struct FileSource {
  std::filesystem::path local;
  std::string url;
  std::string bearer_token;  // for the host of `url` only, never for one it redirects to
};

// Thread-compatible.
class Adapter {
 public:
  virtual ~Adapter() = default;
  // kNotFound, kUnauthenticated, kPermissionDenied, kUnavailable, ... with what to do about it. `interrupted` (may be
  // null) ends waits early with kCancelled.
  virtual Result<Repository> Resolve(const package::ModelRef& ref, const std::atomic<bool>* interrupted) = 0;
  virtual FileSource Locate(const Repository& repository, const RemoteFile& file) const = 0;
};

// The adapter for ref's namespace ("hf"). kInvalidArgument names the namespaces there are.
Result<std::unique_ptr<Adapter>> AdapterFor(const package::ModelRef& ref, const Settings& settings);

// False for paths that could leave the package folder or hide in a terminal: "..", ".", empty parts, a leading "/",
// backslashes, control characters, more than 1024 bytes.
bool IsSafePath(std::string_view path);

}  // namespace mlos::hub
