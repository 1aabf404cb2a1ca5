// SPDX-License-Identifier: Apache-2.0
// Holds a plugin against the contract of include/smi/smi.h.
//   smi_conformance --plugin=LIBRARY --model=FILE [--slow-model=FILE [--slow-input=NAME=VALUE]] [GoogleTest flags]
#include <cstdio>
#include <string_view>

#include "suite.h"

namespace smi_test {
Flags flags;
}

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value = [&](std::string_view name) { return argument.substr(name.size()); };
    if (argument.starts_with("--plugin=")) {
      smi_test::flags.plugin = value("--plugin=");
    } else if (argument.starts_with("--model=")) {
      smi_test::flags.model = value("--model=");
    } else if (argument.starts_with("--slow-model=")) {
      smi_test::flags.slow_model = value("--slow-model=");
    } else if (argument.starts_with("--slow-input=")) {
      smi_test::flags.slow_input = value("--slow-input=");
    } else {
      std::fprintf(stderr, "unknown argument %s\n", argv[i]);
      return 2;
    }
  }
  if (smi_test::flags.plugin.empty() || smi_test::flags.model.empty()) {
    std::fprintf(stderr,
                 "usage: %s --plugin=LIBRARY --model=FILE [--slow-model=FILE [--slow-input=NAME=VALUE]]\n",
                 argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
