// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <vector>

#include "axon/cli.h"
#include "os/interrupt.h"

int main(int argc, char** argv) {
  const auto interrupted = mlos::os::WatchInterrupts();
  if (!interrupted.ok()) {
    std::fprintf(stderr, "axon: error: %s\n", interrupted.status().message().c_str());
    return 1;
  }
  return mlos::axon::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), *interrupted);
}
