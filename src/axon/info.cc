// SPDX-License-Identifier: Apache-2.0
// axon info: what an installed model is, or, with --remote, what an install would bring.
#include <memory>

#include "axon/format.h"
#include "axon/package_json.h"
#include "axon/selection_options.h"
#include "axon/verbs.h"
#include "hub/adapter.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {

struct InfoOptions {
  std::string ref;
  hub::SelectOptions select;
  bool remote = false;
  bool json = false;
};

std::string Line(const std::string& key, const std::string& value) {
  if (value.empty()) return "";
  return key + ":" + std::string(key.size() < 13 ? 14 - key.size() : 1, ' ') + Plain(value) + "\n";
}

void AppendSpecs(const std::string& title, const std::vector<TensorSpec>& specs, std::string* out) {
  if (specs.empty()) return;
  *out += title + ":\n";
  for (const TensorSpec& spec : specs) {
    *out += "  " + Plain(spec.name) + "  " + Plain(SpecToString(spec)) +
            (spec.optional ? "  (optional)" : "") + "\n";
  }
}

std::string Describe(const package::InstalledPackage& package) {
  const package::Manifest& manifest = package.manifest;
  std::string out = Line("model", package.ref.ToString()) + Line("description", manifest.description);
  out += Line("commit", manifest.revision) + Line("source", manifest.source_url) +
         Line("license", manifest.license);
  out += Line("framework", manifest.framework_name +
                               (manifest.framework_version.empty() ? "" : " " + manifest.framework_version));
  std::string format = manifest.execution_format;
  if (manifest.conversion) {
    format += ", converted from " + manifest.format_type + " (" + manifest.conversion->architecture + ", " +
              manifest.conversion->task + ")";
  }
  out += Line("format", format) + Line("installed", manifest.created) + Line("path", package.dir.string());
  out += Line("size", os::FormatBytes(package.size_bytes));
  if (manifest.text) {
    std::string text = "tokenized by " + manifest.text->tokenizer;
    if (manifest.text->max_length != 0) text += ", at most " + Plural(manifest.text->max_length, "token");
    if (!manifest.text->output.empty()) text += ", answers " + manifest.text->output;
    out += Line("text", text);
  }
  AppendSpecs("inputs", manifest.inputs, &out);
  AppendSpecs("outputs", manifest.outputs, &out);
  std::vector<std::vector<std::string>> rows;
  for (const package::PackageFile& file : manifest.files) {
    rows.push_back({"  " + Plain(file.path), os::FormatBytes(file.size_bytes), file.sha256.substr(0, 16)});
  }
  return out + "files:\n" + Table(rows);
}

int ShowInstalled(Context& context, const InfoOptions& options) {
  const Result<package::InstalledPackage> package = context.FindInstalled(options.ref);
  if (!package.ok()) {
    const bool missing = package.status().code() == Code::kNotFound;
    return context.Fail(missing ? NotFound(package.status().message() + ", or ask the hub with --remote")
                                : package.status());
  }
  if (!options.json) {
    context.Print(Describe(*package));
    return kExitOk;
  }
  JsonWriter json;
  WritePackageDetails(*package, &json);
  context.Print(json.str() + "\n");
  return kExitOk;
}

int ShowRemote(Context& context, const InfoOptions& options) {
  const Result<package::ModelRef> ref = package::ParseModelRef(options.ref);
  if (!ref.ok()) return context.Fail(ref.status());
  const Result<std::unique_ptr<hub::Adapter>> adapter =
      hub::AdapterFor(*ref, hub::Settings::FromEnvironment());
  if (!adapter.ok()) return context.FailUsage(adapter.status().message());
  const Result<hub::Repository> repository = (*adapter)->Resolve(*ref, context.interrupted());
  if (!repository.ok()) return context.Fail(repository.status());
  const Result<hub::Selection> selection = hub::SelectFiles(repository->files, options.select);
  if (options.json) {
    JsonWriter json;
    json.BeginObject().Key("ref").String(ref->ToString()).Key("id").String(repository->id);
    json.Key("commit").String(repository->commit).Key("url").String(repository->url);
    json.Key("license").String(repository->license).Key("task").String(repository->task);
    if (selection.ok()) {
      json.Key("format").String(selection->format).Key("install_bytes").Uint(selection->total_bytes);
    } else {
      json.Key("problem").String(selection.status().message());
    }
    json.Key("files").BeginArray();
    for (const hub::RemoteFile& file : repository->files) {
      bool chosen = false;
      if (selection.ok()) {
        for (const hub::RemoteFile& other : selection->files) chosen = chosen || other.path == file.path;
      }
      json.BeginObject().Key("path").String(file.path).Key("size_bytes").Uint(file.size_bytes);
      json.Key("sha256").String(file.sha256).Key("install").Bool(chosen).EndObject();
    }
    json.EndArray().EndObject();
    context.Print(json.str() + "\n");
    return kExitOk;
  }
  std::string out =
      Line("model", ref->ToString()) + Line("commit", repository->commit) + Line("source", repository->url);
  out +=
      Line("license", repository->license) + Line("task", repository->task) + Line("note", repository->note);
  if (!selection.ok()) {
    context.Print(out);
    return context.Fail(selection.status());
  }
  out += Line("format", selection->format) + Line("choice", selection->reason);
  out += Line("size",
              os::FormatBytes(selection->total_bytes) + " in " + Plural(selection->files.size(), "file"));
  std::vector<std::vector<std::string>> rows;
  for (const hub::RemoteFile& file : selection->files)
    rows.push_back({"  " + Plain(file.path), os::FormatBytes(file.size_bytes)});
  context.Print(out + "files:\n" + Table(rows));
  return kExitOk;
}

}  // namespace

void AddInfo(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("info", "Show what a model is: files, inputs, outputs, sizes");
  verb->alias("show");
  auto options = std::make_shared<InfoOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@REVISION]")->required();
  verb->add_flag("--remote", options->remote, "ask the hub, not the store");
  AddSelectionOptions(verb, &options->select);
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] {
    if (const auto ref = package::ParseModelRef(options->ref); !ref.ok()) {
      *exit_status = context.FailUsage(ref.status().message());
      return;
    }
    *exit_status = options->remote ? ShowRemote(context, *options) : ShowInstalled(context, *options);
  });
}

}  // namespace mlos::axon
