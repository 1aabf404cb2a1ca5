// SPDX-License-Identifier: Apache-2.0
// axon update: makes the graphs of installed models anew with the present converter, out of the weights that are there.
#include <algorithm>
#include <chrono>
#include <memory>

#include "axon/build_package.h"
#include "axon/check_package.h"
#include "axon/format.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "base/version.h"
#include "convert/convert.h"
#include "os/directory.h"
#include "package/digest.h"

namespace mlos::axon {
namespace {

struct UpdateOptions {
  std::string ref;
  bool all = false;
  bool dry_run = false;
  bool json = false;
};

struct Outcome {
  std::string what;  // "updated", "up to date", "would be updated", "not converted to ONNX here"
  std::vector<std::string> changes;
  double convert_ms = 0;
};

std::string Interface(const std::vector<TensorSpec>& specs) {
  std::string out;
  for (const TensorSpec& spec : specs)
    out += (out.empty() ? "" : ", ") + spec.name + " " + SpecToString(spec);
  return out;
}

class Updater {
 public:
  Updater(Context& context, const UpdateOptions& options, const package::InstalledPackage& package)
      : context_(context), options_(options), package_(package) {}

  Result<Outcome> Run() {
    const auto& conversion = package_.manifest.conversion;
    const bool is_onnx = package_.manifest.execution_format == "onnx";
    if (!conversion || conversion->converter != kNativeConverter || !is_onnx)
      return Outcome{"not converted to ONNX here", {}, 0};
    MLOS_RETURN_IF_ERROR(Convert());
    FindChanges();
    if (outcome_.changes.empty()) {
      outcome_.what = "up to date";
      return outcome_;
    }
    outcome_.what = "would be updated";
    if (options_.dry_run) return outcome_;
    MLOS_RETURN_IF_ERROR(Replace());
    outcome_.what = "updated";
    return outcome_;
  }

 private:
  Status Convert() {
    const auto start = std::chrono::steady_clock::now();
    convert::ConvertOptions options;
    options.task = package_.manifest.conversion->task;
    options.int8 = package_.manifest.conversion->quantization == "int8";
    MLOS_ASSIGN_OR_RETURN(converted_, convert::Convert(package_.dir, options));
    outcome_.convert_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return OkStatus();
  }

  bool IsMade(const std::string& path) const {
    return path == convert::kSideCarFile || path == convert::kInt8File ||
           std::any_of(converted_.graphs.begin(), converted_.graphs.end(),
                       [&](const convert::ConvertedGraph& graph) { return graph.file == path; });
  }

  void FindChanges() {
    const package::Manifest& manifest = package_.manifest;
    for (const convert::ConvertedGraph& graph : converted_.graphs) {
      const std::string now = package::Sha256Hex(graph.onnx);
      const package::PackageFile* before = package::FindFile(manifest.files, graph.file);
      const std::string old = before == nullptr ? "none" : before->sha256;
      if (old != now)
        outcome_.changes.push_back(graph.file + " " + old.substr(0, 12) + " -> " + now.substr(0, 12));
    }
    const convert::ConvertedGraph& first = converted_.graphs.front();
    if (!outcome_.changes.empty() && Interface(manifest.inputs) != Interface(first.inputs))
      outcome_.changes.push_back("inputs: " + Interface(first.inputs));
    if (!outcome_.changes.empty() && Interface(manifest.outputs) != Interface(first.outputs))
      outcome_.changes.push_back("outputs: " + Interface(first.outputs));
    if (manifest.conversion->version != kVersion)
      outcome_.changes.push_back("converter " + manifest.conversion->version + " -> " + kVersion);
  }

  // The same package with other graphs: everything else is a link to what the store holds.
  Status Replace() {
    MLOS_ASSIGN_OR_RETURN(package::Store * store, context_.store());
    MLOS_ASSIGN_OR_RETURN(const std::unique_ptr<package::Install> install, store->Begin(package_.ref, true));
    for (const package::PackageFile& file : package_.manifest.files) {
      if (IsMade(file.path)) continue;
      MLOS_ASSIGN_OR_RETURN(const bool held, install->LinkBlob(file.path, file.sha256));
      if (!held)
        return DataLoss("'" + file.path + "' is not in the store; mend it with: axon install --force");
    }
    std::string first_sha256;
    for (const convert::ConvertedGraph& graph : converted_.graphs) {
      MLOS_ASSIGN_OR_RETURN(const package::PackageFile file, install->AddContents(graph.file, graph.onnx));
      if (first_sha256.empty()) first_sha256 = file.sha256;
    }
    MLOS_RETURN_IF_ERROR(AddSideCar(install.get()));
    package::Manifest manifest = package_.manifest;
    const package::Conversion before = *manifest.conversion;
    manifest.conversion = ConversionRecord(converted_, install->files(), first_sha256);
    manifest.conversion->quantization = before.quantization;
    manifest.conversion->quantization_max_abs = before.quantization_max_abs;
    manifest.conversion->quantization_cosine = before.quantization_cosine;
    manifest.inputs = converted_.graphs.front().inputs;
    manifest.outputs = converted_.graphs.front().outputs;
    manifest.execution_files.clear();
    for (const convert::ConvertedGraph& graph : converted_.graphs)
      manifest.execution_files.push_back({graph.file, "onnx", graph.type});
    const Result<PackageCheck> check = CheckPackage(install->dir(), manifest.execution_files,
                                                    converted_.max_length, {}, context_.interrupted());
    if (!check.ok()) {
      (void)install->Discard();
      return check.status().WithContext("the new graph does not run; the installed one stays");
    }
    manifest.conversion->verified = check->ran;
    outcome_.changes.push_back(CheckText(*check));
    return install->Commit(std::move(manifest)).status();
  }

  Status AddSideCar(package::Install* install) {
    if (converted_.side_car.empty()) return OkStatus();
    const os::TemporaryDirectory folder(install->dir().parent_path());
    MLOS_RETURN_IF_ERROR(convert::WriteSideCar(package_.dir, converted_, folder.path()));
    return install->AddCopy(converted_.side_car_file, folder.path() / converted_.side_car_file).status();
  }

  Context& context_;
  const UpdateOptions& options_;
  const package::InstalledPackage& package_;
  convert::ConvertResult converted_;
  Outcome outcome_;
};

Result<std::vector<package::InstalledPackage>> Chosen(Context& context, const UpdateOptions& options) {
  if (!options.all) {
    MLOS_ASSIGN_OR_RETURN(package::InstalledPackage package, context.FindInstalled(options.ref));
    return std::vector<package::InstalledPackage>{std::move(package)};
  }
  MLOS_ASSIGN_OR_RETURN(package::Store * store, context.store());
  return store->List();
}

void Print(Context& context, const std::string& ref, const Outcome& outcome) {
  if (context.quiet) return;
  char ms[32];
  std::snprintf(ms, sizeof(ms), "%.1f ms", outcome.convert_ms);
  context.Print(ref + ": " + outcome.what + (outcome.convert_ms > 0 ? std::string(" (") + ms + ")" : "") +
                "\n");
  for (const std::string& change : outcome.changes) context.Print("  " + Plain(change) + "\n");
}

int Update(Context& context, const UpdateOptions& options) {
  if (options.all == !options.ref.empty()) return context.FailUsage("name a model to update, or --all");
  const auto packages = Chosen(context, options);
  if (!packages.ok()) return context.Fail(packages.status());
  int exit_status = kExitOk;
  JsonWriter json;
  json.BeginArray();
  for (const package::InstalledPackage& package : *packages) {
    if (context.Interrupted()) return context.Fail(Cancelled("interrupted"));
    const std::string ref = package.ref.ToString();
    const Result<Outcome> outcome = Updater(context, options, package).Run();
    if (!outcome.ok()) {
      exit_status = context.Fail(outcome.status().WithContext(ref));
      continue;
    }
    json.BeginObject().Key("ref").String(ref).Key("status").String(outcome->what);
    json.Key("convert_ms").Double(outcome->convert_ms).Key("changes").BeginArray();
    for (const std::string& change : outcome->changes) json.String(change);
    json.EndArray().EndObject();
    if (!options.json) Print(context, ref, *outcome);
  }
  json.EndArray();
  if (options.json) context.Print(json.str() + "\n");
  return exit_status;
}

}  // namespace

void AddUpdate(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb =
      app.add_subcommand("update", "Make the graphs of converted models anew with this version's converter");
  auto options = std::make_shared<UpdateOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@REVISION]");
  verb->add_flag("--all", options->all, "every installed model");
  verb->add_flag("--dry-run", options->dry_run, "say what would change, change nothing");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Update(context, *options); });
}

}  // namespace mlos::axon
