// SPDX-License-Identifier: Apache-2.0
// axon unregister: mlos-core unloads a model and forgets it; the package stays installed.
#include <memory>
#include <vector>

#include "axon/registration.h"
#include "axon/verbs.h"

namespace mlos::axon {
namespace {

int Unregister(Context& context, const std::string& text) {
  const Result<package::ModelRef> ref = package::ParseModelRef(text);
  if (!ref.ok()) return context.FailUsage(ref.status().message());
  std::vector<std::string> ids = {ref->ToString()};
  if (const auto package = context.FindInstalled(text); package.ok()) {
    ids.clear();
    for (const Served& part : ServedParts(*package)) ids.push_back(part.id);
  }
  for (const std::string& id : ids) {
    if (const Status status = context.Core().Unregister(id); !status.ok()) return context.Fail(status);
    if (!context.quiet) context.Print("unregistered " + id + "\n");
  }
  return kExitOk;
}

}  // namespace

void AddUnregister(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("unregister", "Make mlos-core unload a model and forget it");
  auto ref = std::make_shared<std::string>();
  verb->add_option("MODEL", *ref, "NAMESPACE/NAME[@REVISION]")->required();
  verb->callback([&context, ref, exit_status] { *exit_status = Unregister(context, *ref); });
}

}  // namespace mlos::axon
