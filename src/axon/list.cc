// SPDX-License-Identifier: Apache-2.0
// axon list: what is installed.
#include <memory>
#include <set>

#include "axon/format.h"
#include "axon/package_json.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {

struct ListOptions {
  std::string format = "table";
  bool json = false;
};

int List(Context& context, const ListOptions& options) {
  const Result<package::Store*> store = context.store();
  if (!store.ok()) return context.Fail(store.status());
  const Result<std::vector<package::InstalledPackage>> packages = (*store)->List();
  if (!packages.ok()) return context.Fail(packages.status());
  if (options.json || options.format == "json") {
    JsonWriter json;
    json.BeginArray();
    for (const package::InstalledPackage& package : *packages) WritePackage(package, &json);
    json.EndArray();
    context.Print(json.str() + "\n");
    return kExitOk;
  }
  if (options.format == "names") {
    std::set<std::string> names;
    for (const package::InstalledPackage& package : *packages)
      names.insert(package.ref.namespace_ + "/" + package.ref.name);
    for (const std::string& name : names) context.Print(name + "\n");
    return kExitOk;
  }
  if (packages->empty()) {
    context.Note("no models installed; try: axon install hf/NAME");
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {{"MODEL", "FORMAT", "SIZE", "COMMIT", "INSTALLED"}};
  for (const package::InstalledPackage& package : *packages) {
    const std::string format = package.problem.empty() ? package.manifest.execution_format : "DAMAGED";
    rows.push_back({package.ref.ToString(), format, os::FormatBytes(package.size_bytes),
                    ShortCommit(package.manifest.revision), Plain(package.manifest.created)});
  }
  context.Print(Table(rows));
  for (const package::InstalledPackage& package : *packages) {
    if (!package.problem.empty())
      context.Warn("axon: " + package.ref.ToString() + " is damaged: " + Plain(package.problem));
  }
  return kExitOk;
}

}  // namespace

void AddList(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("list", "List the installed models");
  verb->alias("ls");
  auto options = std::make_shared<ListOptions>();
  verb->add_option("-f,--format", options->format, "table, names or json")
      ->check(CLI::IsMember({"table", "default", "names", "json"}));
  verb->add_flag("--json", options->json, "the same as --format json");
  verb->callback([&context, options, exit_status] { *exit_status = List(context, *options); });
}

}  // namespace mlos::axon
