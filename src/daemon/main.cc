// SPDX-License-Identifier: Apache-2.0
// mlos-core.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "os/signals.h"
#include "os/xdg.h"

namespace mlos::daemon {
namespace {

int Fail(const Status& status, int exit_code) {
  std::fprintf(stderr, "mlos-core: %s\n", status.message().c_str());
  return exit_code;
}

// The first signal drains; a second one, during the drain, ends the process at once.
void ExitOnNextSignal() {
  std::thread([] {
    if (os::WaitForTermination().ok()) std::_Exit(130);
  }).detach();
}

int Serve(const Config& config) {
  for (const Status& status : {os::BlockTermination(), os::IgnoreSigpipe(), StartLog(config)}) {
    if (!status.ok()) return Fail(status, 1);
  }
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(config);
  if (!daemon.ok()) return Fail(daemon.status(), 1);
  const Status signal = os::WaitForTermination();
  ExitOnNextSignal();
  (*daemon)->Stop();
  return signal.ok() ? 0 : Fail(signal, 1);
}

int Main(int argc, char** argv) {
  const CommandLine line = ParseCommandLine(argc, argv, os::GetEnv);
  switch (line.action) {
    case CommandLine::Action::kHelp:
    case CommandLine::Action::kVersion:
      std::fputs(line.text.c_str(), stdout);
      return 0;
    case CommandLine::Action::kUsageError:
      return Fail(InvalidArgument(line.text + "\nRun 'mlos-core --help' for the flags."), 2);
    case CommandLine::Action::kServe:
      return Serve(line.config);
  }
  return 2;
}

}  // namespace
}  // namespace mlos::daemon

int main(int argc, char** argv) { return mlos::daemon::Main(argc, argv); }
