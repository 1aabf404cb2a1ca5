// SPDX-License-Identifier: Apache-2.0
// axon serve: becomes mlos-core, the program beside this one.
#include "axon/verbs.h"
#include "os/exec.h"
#include "os/process.h"

namespace mlos::axon {

void AddServe(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb =
      app.add_subcommand("serve", "Start mlos-core; what follows goes to it (try: axon serve --help)");
  verb->set_help_flag();
  verb->fallthrough(false);
  verb->prefix_command();
  verb->callback([verb, &context, exit_status] {
    const Result<std::filesystem::path> self = os::ExecutablePath();
    if (!self.ok()) {
      *exit_status = context.Fail(self.status());
      return;
    }
    const std::filesystem::path program = self->parent_path() / "mlos-core";
    *exit_status = context.Fail(os::Exec(program, verb->remaining()).WithContext("cannot start mlos-core"));
  });
}

}  // namespace mlos::axon
