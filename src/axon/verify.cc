// SPDX-License-Identifier: Apache-2.0
// axon verify: reads every byte of a package and compares digests.
#include <algorithm>
#include <memory>

#include "axon/build_package.h"
#include "axon/format.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "base/version.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {

struct VerifyOptions {
  std::string ref;
  bool all = false;
  bool json = false;
};

Result<std::vector<package::ModelRef>> Chosen(Context& context, const VerifyOptions& options) {
  std::vector<package::ModelRef> refs;
  if (options.all) {
    MLOS_ASSIGN_OR_RETURN(package::Store * store, context.store());
    MLOS_ASSIGN_OR_RETURN(const std::vector<package::InstalledPackage> packages, store->List());
    for (const package::InstalledPackage& package : packages) refs.push_back(package.ref);
    return refs;
  }
  const Result<package::InstalledPackage> package = context.FindInstalled(options.ref);
  // A damaged one is what this verb is for.
  if (package.status().code() == Code::kDataLoss) {
    MLOS_ASSIGN_OR_RETURN(const package::ModelRef ref, package::ParseModelRef(options.ref));
    return std::vector<package::ModelRef>{ref};
  }
  if (!package.ok()) return package.status();
  return std::vector<package::ModelRef>{package->ref};
}

// What the manifest says of a conversion must be what the package holds.
void CheckConversion(const package::Manifest& manifest, std::vector<package::VerifyProblem>* problems) {
  if (!manifest.conversion || manifest.conversion->converter != kNativeConverter) return;
  const package::Conversion& conversion = *manifest.conversion;
  const auto holds = [&](const package::PackageFile& wanted) {
    return std::find(manifest.files.begin(), manifest.files.end(), wanted) != manifest.files.end();
  };
  for (const package::PackageFile& source : conversion.sources) {
    if (!holds(source)) problems->push_back({source.path, "is not the file the graph was made of"});
  }
  const bool has_graph =
      std::any_of(manifest.files.begin(), manifest.files.end(),
                  [&](const package::PackageFile& file) { return file.sha256 == conversion.graph_sha256; });
  if (!has_graph) problems->push_back({"model.onnx", "is not the graph that was made"});
}

int Verify(Context& context, const VerifyOptions& options) {
  if (options.all == !options.ref.empty()) return context.FailUsage("name a model to verify, or --all");
  if (!options.all && !package::ParseModelRef(options.ref).ok()) {
    return context.FailUsage(package::ParseModelRef(options.ref).status().message());
  }
  const Result<std::vector<package::ModelRef>> refs = Chosen(context, options);
  if (!refs.ok()) return context.Fail(refs.status());
  bool intact = true;
  JsonWriter json;
  json.BeginArray();
  for (const package::ModelRef& ref : *refs) {
    if (context.Interrupted()) return context.Fail(Cancelled("interrupted"));
    const auto store = context.store();
    if (!store.ok()) return context.Fail(store.status());
    Result<std::vector<package::VerifyProblem>> problems = (*store)->Verify(ref);
    if (!problems.ok()) return context.Fail(problems.status());
    const Result<package::InstalledPackage> package = context.FindInstalled(ref.ToString());
    if (package.ok()) CheckConversion(package->manifest, &*problems);
    const bool older = package.ok() && package->manifest.conversion &&
                       package->manifest.conversion->converter == kNativeConverter &&
                       package->manifest.conversion->version != kVersion;
    if (older)
      context.Note(ref.ToString() + " was converted by version " + package->manifest.conversion->version +
                   "; this is " + kVersion + " (axon update " + ref.ToString() + ")");
    intact = intact && problems->empty();
    json.BeginObject().Key("ref").String(ref.ToString()).Key("intact").Bool(problems->empty());
    json.Key("problems").BeginArray();
    for (const package::VerifyProblem& problem : *problems) {
      json.BeginObject().Key("path").String(problem.path).Key("what").String(problem.what).EndObject();
      if (!options.json)
        context.Warn("axon: " + ref.ToString() + ": " + Plain(problem.path) + ": " + Plain(problem.what));
    }
    json.EndArray().EndObject();
    if (options.json) continue;
    if (problems->empty() && !context.quiet) context.Print(ref.ToString() + " is intact\n");
    if (!problems->empty()) {
      context.Warn("axon: error: " + ref.ToString() + " is damaged; mend it with: axon install --force " +
                   ref.ToString());
    }
  }
  json.EndArray();
  if (options.json) context.Print(json.str() + "\n");
  return intact ? kExitOk : kExitFailed;
}

}  // namespace

void AddVerify(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("verify", "Check every file of an installed model against its digest");
  auto options = std::make_shared<VerifyOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@REVISION]");
  verb->add_flag("--all", options->all, "every installed model");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Verify(context, *options); });
}

}  // namespace mlos::axon
