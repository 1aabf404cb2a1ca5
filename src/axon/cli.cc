// SPDX-License-Identifier: Apache-2.0
#include "axon/cli.h"

#include <algorithm>

#include "axon/completion.h"
#include "axon/verbs.h"

namespace mlos::axon {
namespace {

// The innermost verb that was typed, for "see ... --help".
std::string VerbOf(const CLI::App& app) {
  for (const CLI::App* verb : app.get_subcommands()) return " " + verb->get_name();
  return "";
}

// What the completion scripts ask: axon __complete -- WORDS...
void PrintCompletions(const CLI::App& app, Context& context, std::vector<std::string> words) {
  words.erase(words.begin());
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  const auto installed = [&context] {
    std::vector<std::string> refs;
    const auto store = context.store();
    if (!store.ok()) return refs;
    const auto packages = (*store)->List();
    if (!packages.ok()) return refs;
    for (const package::InstalledPackage& package : *packages) refs.push_back(package.ref.ToString());
    return refs;
  };
  for (const std::string& candidate : Complete(app, words, installed)) context.Print(candidate + "\n");
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& words, const std::atomic<bool>* interrupted) {
  CLI::App app("axon installs models and hands them to mlos-core.", "axon");
  app.require_subcommand(0, 1);
  app.fallthrough();
  Context context(interrupted);
  int exit_status = kExitOk;
  app.add_flag("-q,--quiet", context.quiet, "print results and errors only");
  AddInstall(app, context, &exit_status);
  AddConvert(app, context, &exit_status);
  AddList(app, context, &exit_status);
  AddInfo(app, context, &exit_status);
  AddUpdate(app, context, &exit_status);
  AddVerify(app, context, &exit_status);
  AddUninstall(app, context, &exit_status);
  AddRegister(app, context, &exit_status);
  AddUnregister(app, context, &exit_status);
  AddRun(app, context, &exit_status);
  AddPs(app, context, &exit_status);
  AddTop(app, context, &exit_status);
  AddLoad(app, context, &exit_status);
  AddStop(app, context, &exit_status);
  AddVersions(app, context, &exit_status);
  AddServe(app, context, &exit_status);
  AddDoctor(app, context, &exit_status);
  AddMirror(app, context, &exit_status);
  AddWhy(app, context, &exit_status);
  AddVersion(app, context, &exit_status);
  AddCompletion(app, context, &exit_status);
  if (!words.empty() && words.front() == "__complete") {
    PrintCompletions(app, context, words);
    return kExitOk;
  }
  try {
    // CLI11 takes words from the end.
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
    if (app.get_subcommands().empty()) context.Print(app.help());
  } catch (const CLI::Success& help_or_version) {
    app.exit(help_or_version);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return context.FailUsage(std::string(error.what()) + " (see: axon" + VerbOf(app) + " --help)");
  }
  return exit_status;
}

}  // namespace mlos::axon
