// SPDX-License-Identifier: Apache-2.0
// axon uninstall: takes a package out of the store; bytes that no other package shares are freed.
#include <memory>

#include "axon/verbs.h"

namespace mlos::axon {
namespace {

int Uninstall(Context& context, const std::vector<std::string>& models) {
  for (const std::string& model : models) {
    const Result<package::ModelRef> ref = package::ParseModelRef(model);
    if (!ref.ok()) return context.FailUsage(ref.status().message());
  }
  for (const std::string& model : models) {
    const Result<package::InstalledPackage> package = context.FindInstalled(model);
    // A damaged package can be removed all the same.
    const bool damaged = package.status().code() == Code::kDataLoss;
    if (!package.ok() && !damaged) return context.Fail(package.status());
    const package::ModelRef ref = damaged ? *package::ParseModelRef(model) : package->ref;
    const auto store = context.store();
    if (!store.ok()) return context.Fail(store.status());
    if (const Status status = (*store)->Remove(ref); !status.ok()) return context.Fail(status);
    if (!context.quiet) context.Print("uninstalled " + ref.ToString() + "\n");
  }
  return kExitOk;
}

}  // namespace

void AddUninstall(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("uninstall", "Remove installed models");
  verb->alias("rm");
  auto models = std::make_shared<std::vector<std::string>>();
  verb->add_option("MODEL", *models, "NAMESPACE/NAME[@REVISION]; without a revision the only one, or latest")
      ->required();
  verb->callback([&context, models, exit_status] { *exit_status = Uninstall(context, *models); });
}

}  // namespace mlos::axon
