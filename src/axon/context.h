// SPDX-License-Identifier: Apache-2.0
// What every verb needs: where to print, where the state lives, whether the user wants to stop.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "client/core_client.h"
#include "package/ref.h"
#include "package/store.h"

namespace mlos::axon {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// Results go to standard output, everything else to standard error. Not thread-safe.
class Context {
 public:
  explicit Context(const std::atomic<bool>* interrupted) : interrupted_(interrupted) {}

  // To standard output, as it is.
  void Print(std::string_view text) const;
  // A line about what is going on, to standard error; nothing with --quiet.
  void Note(const std::string& line) const;
  // Always, to standard error.
  void Warn(const std::string& line) const;

  // Prints the error once and answers the exit status: interrupted, usage or failed.
  int Fail(const Status& status) const;
  int FailUsage(const std::string& message) const;

  // The store; made when it is missing. Opened once.
  Result<package::Store*> store();
  // The installed package that `text` ("ns/name[@revision]") means. Without a revision: latest, else the only one there is.
  Result<package::InstalledPackage> FindInstalled(const std::string& text);

  client::CoreClient Core() const;
  const std::atomic<bool>* interrupted() const { return interrupted_; }
  bool Interrupted() const { return interrupted_->load(); }

  bool quiet = false;

 private:
  const std::atomic<bool>* const interrupted_;
  std::unique_ptr<package::Store> store_;
};

}  // namespace mlos::axon
