// SPDX-License-Identifier: Apache-2.0
// axon version.
#include <memory>

#include "axon/verbs.h"
#include "base/json_writer.h"
#include "base/version.h"

namespace mlos::axon {

void AddVersion(CLI::App& app, Context& context, int* exit_status) {
  const std::string version = kVersion;
  app.set_version_flag("--version", "axon version " + version);
  CLI::App* verb = app.add_subcommand("version", "Print the version");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "print JSON");
  verb->callback([&context, json, version, exit_status] {
    JsonWriter out;
    out.BeginObject().Key("version").String(version).EndObject();
    // The first line is what tools of the original read.
    context.Print(*json ? out.str() + "\n"
                        : "Axon Version: v" + version + "\naxon version " + version + "\n");
    *exit_status = kExitOk;
  });
}

}  // namespace mlos::axon
