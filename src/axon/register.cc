// SPDX-License-Identifier: Apache-2.0
// axon register: an installed model becomes one that mlos-core serves.
#include <cstdio>
#include <memory>

#include "axon/format.h"
#include "axon/registration.h"
#include "axon/verbs.h"
#include "base/json_writer.h"

namespace mlos::axon {
namespace {

struct RegisterOptions {
  std::string ref;
  bool json = false;
  package::ServingSpec serving;
};

void PrintJson(Context& context, const std::string& id, const client::ModelInfo& model,
               const std::string& endpoint, const std::string& curl) {
  JsonWriter json;
  json.BeginObject().Key("model_id").String(id).Key("plugin_id").String(model.plugin_id);
  json.Key("load_ms").Double(model.load_ms).Key("endpoint").String(endpoint);
  json.Key("curl").String(curl).EndObject();
  context.Print(json.str() + "\n");
}

void PrintLine(Context& context, const std::string& id, const client::ModelInfo& model,
               const std::string& endpoint) {
  std::string line = "registered " + id + " at " + endpoint;
  if (!model.plugin_id.empty()) line += ", plugin " + Plain(model.plugin_id);
  if (model.load_ms > 0) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.0f ms", model.load_ms);
    line += ", loaded in " + std::string(text);
  }
  context.Print(line + "\n");
}

int Register(Context& context, const RegisterOptions& options) {
  if (const auto ref = package::ParseModelRef(options.ref); !ref.ok())
    return context.FailUsage(ref.status().message());
  if (const Status serving = package::CheckServing(options.serving); !serving.ok())
    return context.FailUsage(serving.message());
  const Result<package::InstalledPackage> package = context.FindInstalled(options.ref);
  if (!package.ok()) return context.Fail(package.status());
  const client::CoreClient core = context.Core();
  const std::vector<Served> parts = ServedParts(*package);
  for (const Served& part : parts) {
    const Result<client::ModelInfo> model = RegisterPart(core, *package, part, options.serving);
    if (!model.ok()) return context.Fail(model.status().WithContext(part.id));
    // The example is made of the manifest's inputs, which are those of the first graph.
    const std::string curl = &part == &parts.front() ? CurlLine(core.endpoint(), *package, part.id) : "";
    if (options.json) {
      PrintJson(context, part.id, *model, core.endpoint(), curl);
      continue;
    }
    if (context.quiet) continue;
    PrintLine(context, part.id, *model, core.endpoint());
    if (!curl.empty()) context.Print("ask it:\n  " + curl + "\n");
  }
  return kExitOk;
}

}  // namespace

void AddRegister(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("register", "Make mlos-core load an installed model and serve it");
  auto options = std::make_shared<RegisterOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@REVISION]")->required();
  verb->add_option(
      "--isolation", options->serving.isolation,
      "process (a sandboxed process of its own), unsafe-process (without the sandbox), none (inside "
      "mlos-core); default: the manifest's, else mlos-core's");
  verb->add_option("--batching", options->serving.batching,
                   "auto, on (the first dimension is the batch, whatever the model file says), off");
  verb->add_option("--max-batch", options->serving.max_batch, "rows that may run together; 1 = none");
  verb->add_flag("--json", options->json, "print the result as JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Register(context, *options); });
}

}  // namespace mlos::axon
