// SPDX-License-Identifier: Apache-2.0
// axon load, stop and versions: what mlos-core keeps in memory, and which version a name means.
#include <memory>
#include <optional>

#include "axon/format.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "client/processes.h"
#include "infer/keep_alive.h"

namespace mlos::axon {
namespace {

struct LoadOptions {
  std::string ref;
  std::string keep_alive;
  bool pin = false;
  bool unpin = false;
};

int Load(Context& context, const LoadOptions& options) {
  if (const auto ref = package::ParseModelRef(options.ref); !ref.ok())
    return context.FailUsage(ref.status().message());
  if (options.pin && options.unpin) return context.FailUsage("--pin and --unpin: take one of them");
  if (!options.keep_alive.empty()) {
    if (const auto keep = ParseKeepAlive(options.keep_alive); !keep.ok())
      return context.FailUsage(keep.status().message());
  }
  std::optional<bool> pin;
  if (options.pin || options.unpin) pin = options.pin;
  const Result<client::Loaded> loaded = context.Core().Load(options.ref, options.keep_alive, pin);
  if (!loaded.ok()) return context.Fail(loaded.status());
  if (!context.quiet) {
    context.Print("loaded " + Plain(loaded->id) +
                  (loaded->pinned ? ", pinned" : ", kept for " + Plain(loaded->keep_alive)) + "\n");
  }
  return kExitOk;
}

int Stop(Context& context, const std::string& ref) {
  if (const auto parsed = package::ParseModelRef(ref); !parsed.ok())
    return context.FailUsage(parsed.status().message());
  const Result<client::Unloaded> stopped = context.Core().Unload(ref);
  if (!stopped.ok()) return context.Fail(stopped.status());
  if (!context.quiet) {
    context.Print(stopped->unloaded ? "unloaded " + ref + "\n"
                                    : ref + " leaves when its " + Plural(stopped->users, "request") +
                                          (stopped->users == 1 ? " is" : " are") + " done\n");
  }
  return kExitOk;
}

struct VersionsOptions {
  std::string ref;
  std::string latest;
  bool json = false;
};

int Versions(Context& context, const VersionsOptions& options) {
  const Result<package::ModelRef> ref = package::ParseModelRef(options.ref);
  if (!ref.ok()) return context.FailUsage(ref.status().message());
  const std::string name = ref->namespace_ + "/" + ref->name;
  const client::CoreClient core = context.Core();
  if (!options.latest.empty()) {
    const std::string id = options.latest == "auto" ? name : name + "@" + options.latest;
    const Result<std::string> chosen = core.ChooseLatest(id);
    if (!chosen.ok()) return context.Fail(chosen.status());
    context.Note("latest of " + name + " is " + Plain(*chosen));
  }
  const Result<std::string> json = core.Processes();
  if (!json.ok()) return context.Fail(json.status());
  const Result<client::ProcessList> list = client::ParseProcesses(*json);
  if (!list.ok()) return context.Fail(list.status());
  std::vector<std::vector<std::string>> rows = {{"VERSION", "STATE", "LATEST", "LOADS"}};
  JsonWriter w;
  w.BeginArray();
  for (const client::ProcessInfo& m : list->models) {
    if (!m.id.starts_with(name + "@")) continue;
    const std::string version = m.id.substr(name.size() + 1);
    rows.push_back({Plain(version), m.state, m.latest ? "yes" : "", std::to_string(m.loads)});
    w.BeginObject().Key("id").String(m.id).Key("version").String(version).Key("state").String(m.state);
    w.Key("latest").Bool(m.latest).EndObject();
  }
  w.EndArray();
  if (options.json) {
    context.Print(w.str() + "\n");
    return kExitOk;
  }
  if (rows.size() == 1) return context.Fail(NotFound("no version of '" + name + "' is registered"));
  context.Print(Table(rows));
  return kExitOk;
}

}  // namespace

void AddLoad(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("load", "Make mlos-core load a registered model now");
  auto options = std::make_shared<LoadOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@VERSION]")->required();
  verb->add_option("--keep-alive", options->keep_alive,
                   "how long it stays without requests: 5m, seconds, 0 = not at all, -1 = for ever");
  verb->add_flag("--pin", options->pin, "never unload it to make room, from now on");
  verb->add_flag("--unpin", options->unpin, "it may be unloaded again");
  verb->callback([&context, options, exit_status] { *exit_status = Load(context, *options); });
}

void AddStop(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("stop", "Make mlos-core unload a model; it stays registered");
  verb->alias("unload");
  auto ref = std::make_shared<std::string>();
  verb->add_option("MODEL", *ref, "NAMESPACE/NAME[@VERSION]")->required();
  verb->callback([&context, ref, exit_status] { *exit_status = Stop(context, *ref); });
}

void AddVersions(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("versions", "Show or choose the versions of a registered model");
  auto options = std::make_shared<VersionsOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME")->required();
  verb->add_option("--latest", options->latest,
                   "the version that the name without one means from now on; auto = the one registered last");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Versions(context, *options); });
}

}  // namespace mlos::axon
