// SPDX-License-Identifier: Apache-2.0
// For tests: a hook before every call that changes the file system, so that a test can make the n-th one
// fail, or kill the process there. Without a hook it costs one relaxed load.
#pragma once

#include <string_view>

namespace mlos::os {

// `step` is "write", "sync", "rename", "exchange", "link", "unlink", "mkdir", "open", "chmod", "truncate";
// `path` what it changes. Answers 0 to go on, or the errno that the call then fails with. May be called by
// several threads.
using FaultHook = int (*)(std::string_view step, const char* path);

// Null removes it.
void SetFaultHookForTesting(FaultHook hook);

// Used inside os/ only.
int InjectedFault(std::string_view step, const char* path);

}  // namespace mlos::os
