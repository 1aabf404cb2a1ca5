// SPDX-License-Identifier: Apache-2.0
// mlos-worker: hosts one loaded model for mlos-core, which starts it with a socket as file 3.
#include <cstdio>
#include <string_view>

#include "base/version.h"
#include "os/child_process.h"
#include "os/signals.h"
#include "worker/session.h"

int main(int argc, char** argv) {
  using namespace mlos;
  if (argc > 1 && std::string_view(argv[1]) == "--version") {
    std::printf("mlos-worker version %s\n", kVersion);
    return 0;
  }
  // A host that dies, even while this process is stopped, takes it along.
  os::EndWithParent();
  Status ended = os::IgnoreSigpipe();
  if (ended.ok()) {
    worker::Session session{os::LocalSocket(os::Descriptor(os::ChildProcess::kInheritedFd))};
    ended = session.Run();
    // A host that is gone waits for nobody; threads of the plugin may still run.
    if (ended.code() == Code::kFailedPrecondition) os::ExitNow(0);
    if (!ended.ok()) {
      std::fprintf(stderr, "mlos-worker: %s (mlos-core starts this program)\n", ended.message().c_str());
      os::ExitNow(2);
    }
  }
  os::ExitNow(0);
}
