// SPDX-License-Identifier: Apache-2.0
// Holds a plugin against the contract of include/smi/smi.h.
//   smi_conformance --plugin=LIBRARY --model=FILE [--slow-model=FILE [--slow-input=NAME=VALUE]] [--sandbox] [GoogleTest flags]
// With --sandbox the plugin runs as in a worker: it sees its own folder, the folders of the models and a temporary folder.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "os/directory.h"
#include "os/sandbox.h"
#include "suite.h"

namespace smi_test {
Flags flags;
}

namespace {

bool EnterSandbox(const std::filesystem::path& temporary) {
  mlos::os::SandboxSpec spec;
  spec.library_paths = {smi_test::flags.plugin.parent_path()};
  spec.read_paths = {smi_test::flags.model.parent_path()};
  if (!smi_test::flags.slow_model.empty())
    spec.read_paths.push_back(smi_test::flags.slow_model.parent_path());
  spec.write_paths = {temporary};
  // Relative paths lose their meaning: the working folder becomes "/".
  for (std::filesystem::path* path :
       {&smi_test::flags.plugin, &smi_test::flags.model, &smi_test::flags.slow_model}) {
    if (!path->empty()) *path = std::filesystem::absolute(*path);
  }
  ::setenv("TMPDIR", temporary.c_str(), 1);
  const auto report = mlos::os::EnterSandbox(spec);
  std::fprintf(stderr, "%s", report.ok() ? report->Serialize().c_str() : report.status().ToString().c_str());
  return report.ok();
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  bool sandbox = false;
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
    } else if (argument == "--sandbox") {
      sandbox = true;
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
  const mlos::os::TemporaryDirectory temporary;
  if (sandbox && !EnterSandbox(temporary.path())) return 1;
  return RUN_ALL_TESTS();
}
