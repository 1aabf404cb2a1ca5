// SPDX-License-Identifier: Apache-2.0
#include "axon/context.h"

#include <cstdio>
#include <vector>

#include "os/xdg.h"

namespace mlos::axon {

void Context::Print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Context::Note(const std::string& line) const {
  if (!quiet) Warn(line);
}

void Context::Warn(const std::string& line) const { std::fprintf(stderr, "%s\n", line.c_str()); }

int Context::Fail(const Status& status) const {
  if (status.code() == Code::kCancelled && Interrupted()) {
    Warn("axon: " + status.message());
    return kExitInterrupted;
  }
  Warn("axon: error: " + status.message());
  return kExitFailed;
}

int Context::FailUsage(const std::string& message) const {
  Warn("axon: error: " + message);
  return kExitUsage;
}

Result<package::Store*> Context::store() {
  if (store_ == nullptr) {
    MLOS_ASSIGN_OR_RETURN(const os::Directories directories, os::ResolveDirectories());
    MLOS_ASSIGN_OR_RETURN(store_, package::Store::Open(directories.store));
  }
  return store_.get();
}

Result<package::InstalledPackage> Context::FindInstalled(const std::string& text) {
  MLOS_ASSIGN_OR_RETURN(package::ModelRef ref, package::ParseModelRef(text));
  MLOS_ASSIGN_OR_RETURN(package::Store * packages, store());
  if (text.find('@') == std::string::npos) {
    MLOS_ASSIGN_OR_RETURN(const std::vector<package::InstalledPackage> all, packages->List());
    std::vector<std::string> revisions;
    for (const package::InstalledPackage& package : all) {
      if (package.ref.namespace_ == ref.namespace_ && package.ref.name == ref.name) {
        revisions.push_back(package.ref.revision);
        if (package.ref.revision == "latest") return packages->Find(ref);
      }
    }
    if (revisions.size() > 1) {
      std::string list;
      for (const std::string& revision : revisions) list += (list.empty() ? "@" : ", @") + revision;
      return InvalidArgument("several revisions of '" + text + "' are installed: say which of " + list);
    }
    if (revisions.size() == 1) ref.revision = revisions.front();
  }
  Result<package::InstalledPackage> found = packages->Find(ref);
  if (found.status().code() == Code::kNotFound) {
    return NotFound(found.status().message() + "; install it with: axon install " + text);
  }
  return found;
}

client::CoreClient Context::Core() const {
  client::ClientOptions options;
  if (const auto endpoint = os::GetEnv("MLOS_CORE_ENDPOINT"); endpoint && !endpoint->empty()) {
    options.endpoint = *endpoint;
  }
  options.interrupted = interrupted_;
  return client::CoreClient(options);
}

}  // namespace mlos::axon
