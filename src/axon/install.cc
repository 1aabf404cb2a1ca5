// SPDX-License-Identifier: Apache-2.0
// axon install: reference -> files -> package in the store.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "axon/build_package.h"
#include "axon/check_package.h"
#include "axon/fallback.h"
#include "axon/fetch.h"
#include "axon/format.h"
#include "axon/selection_options.h"
#include "axon/verbs.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/version.h"
#include "hub/huggingface.h"
#include "hub/local.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"
#include "os/terminal.h"
#include "os/xdg.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

constexpr auto kLockPoll = std::chrono::milliseconds(200);

struct InstallOptions {
  std::string source;
  std::string as;
  hub::SelectOptions select;
  bool force = false;
  bool dry_run = false;
  bool no_check = false;
  std::string quantize;
  std::string fallback = "none";
  bool yes = false;
  bool json = false;
};

bool LooksLikePath(const InstallOptions& options) {
  const std::string& s = options.source;
  return !options.as.empty() || s == "." || s == ".." || s.starts_with("./") || s.starts_with("../") ||
         s.starts_with("/");
}

// "local/<name of the file or folder>", as far as its characters can be in a reference.
std::string NameOfPath(const fs::path& path) {
  const fs::path normal = fs::absolute(path).lexically_normal();
  std::string name = (normal.has_filename() ? normal : normal.parent_path()).stem().string();
  for (char& c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    if (!plain) c = '-';
  }
  return "local/" + name;
}

ProgressStyle StyleOf(const Context& context) {
  ProgressStyle style;
  style.quiet = context.quiet;
  style.terminal = os::IsTerminal(os::StandardStream::kError) && os::GetEnv("TERM").value_or("") != "dumb";
  style.columns = os::TerminalColumns(os::StandardStream::kError);
  return style;
}

class Installer {
 public:
  Installer(Context& context, const InstallOptions& options)
      : context_(context),
        options_(options),
        settings_(hub::Settings::FromEnvironment()),
        progress_(
            StyleOf(context),
            [](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); },
            Clock::Real()) {}

  int Run() {
    if (const Status status = ParseSource(); !status.ok()) return context_.FailUsage(status.message());
    const Status status = Install();
    if (status.ok()) return kExitOk;
    if (status.code() == Code::kUnimplemented && !allows_fallback())
      context_.Note("other people's converters may know it: --fallback python or container");
    return context_.Fail(status.code() == Code::kCancelled ? status : status.WithContext(ref_.ToString()));
  }

 private:
  Status ParseSource();
  Status Install();
  Result<std::unique_ptr<package::Install>> Begin(package::Store* store);
  // True when nothing is to be done.
  Result<bool> IsUpToDate(const package::InstalledPackage& existing, const hub::Selection& selection) const;
  Status FetchAll(package::Install* install, hub::Selection* selection);
  Status FetchSome(const std::vector<hub::RemoteFile>& files, package::Install* install);
  Status FetchExternalData(package::Install* install, hub::Selection* selection);
  Result<BuiltPackage> Build(package::Install* install, hub::Selection* selection);
  Result<package::Conversion> ConvertElsewhere(package::Install* install, hub::Selection* selection);
  Status TryOut(package::Install* install, BuiltPackage* built);
  void ReportPlan(const hub::Selection& selection) const;
  void Report(const package::InstalledPackage& package, const char* what,
              const std::vector<std::string>& notes) const;
  void PrintJson(const package::InstalledPackage& package, const char* what) const;

  bool allows_fallback() const { return options_.fallback != "none"; }

  Context& context_;
  const InstallOptions& options_;
  const hub::Settings settings_;
  Progress progress_;
  package::ModelRef ref_;
  std::unique_ptr<hub::Adapter> adapter_;
  hub::Repository repository_;
  fs::path store_root_;
  FetchReport fetched_;
  Status refusal_;  // why the model is not converted natively, when the fall-back is allowed to do it
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Status Installer::ParseSource() {
  if (LooksLikePath(options_)) {
    MLOS_ASSIGN_OR_RETURN(
        ref_, package::ParseModelRef(options_.as.empty() ? NameOfPath(options_.source) : options_.as));
    adapter_ = std::make_unique<hub::LocalAdapter>(options_.source);
    return OkStatus();
  }
  MLOS_ASSIGN_OR_RETURN(ref_, package::ParseModelRef(options_.source));
  MLOS_ASSIGN_OR_RETURN(adapter_, hub::AdapterFor(ref_, settings_));
  return OkStatus();
}

// Polls, so that Ctrl-C works while another install of the model is waited for.
Result<std::unique_ptr<package::Install>> Installer::Begin(package::Store* store) {
  for (bool told = false;; told = true) {
    Result<std::unique_ptr<package::Install>> install = store->Begin(ref_, false);
    if (install.ok() || install.status().code() != Code::kUnavailable) return install;
    if (!told) context_.Note("another install of " + ref_.ToString() + " is under way; waiting for it");
    if (!hub::SleepUnlessInterrupted(kLockPoll.count(), context_.interrupted()))
      return Cancelled("interrupted");
  }
}

Result<bool> Installer::IsUpToDate(const package::InstalledPackage& existing,
                                   const hub::Selection& selection) const {
  if (options_.force || existing.manifest.revision != repository_.commit) return false;
  const auto& conversion = existing.manifest.conversion;
  if (!options_.quantize.empty() && conversion && conversion->quantization != options_.quantize) return false;
  for (const std::string& weights : selection.weights) {
    const bool converted = conversion && package::FindFile(conversion->sources, weights) != nullptr;
    if (!converted && package::FindFile(existing.manifest.files, weights) == nullptr) return false;
  }
  return true;
}

void Installer::ReportPlan(const hub::Selection& selection) const {
  context_.Note(ref_.ToString() + ": " + Plain(repository_.id) + " at " + ShortCommit(repository_.commit) +
                ", " + Plural(selection.files.size(), "file") + ", " +
                os::FormatBytes(selection.total_bytes) + ", " + selection.format);
  if (!selection.reason.empty()) context_.Note("taking " + Plain(selection.reason));
  if (!repository_.note.empty()) context_.Note(Plain(repository_.note));
}

Status Installer::FetchSome(const std::vector<hub::RemoteFile>& files, package::Install* install) {
  const FetchOptions options{settings_, store_root_, context_.interrupted()};
  return Fetch(*adapter_, repository_, files, options, install, &progress_, &fetched_);
}

// Small files first: they tell whether the weights are worth the wait.
Status Installer::FetchAll(package::Install* install, hub::Selection* selection) {
  std::vector<hub::RemoteFile> companions;
  std::vector<hub::RemoteFile> weights;
  for (const hub::RemoteFile& file : selection->files) {
    const bool is_weight = std::find(selection->weights.begin(), selection->weights.end(), file.path) !=
                           selection->weights.end();
    (is_weight ? weights : companions).push_back(file);
  }
  if (!IsConverted(selection->format)) return FetchSome(selection->files, install);
  MLOS_RETURN_IF_ERROR(FetchSome(companions, install));
  refusal_ = CheckConvertible(*install, selection->format);
  if (refusal_.code() != Code::kUnimplemented || !allows_fallback()) MLOS_RETURN_IF_ERROR(refusal_);
  return FetchSome(weights, install);
}

Status Installer::FetchExternalData(package::Install* install, hub::Selection* selection) {
  if (selection->format != "onnx") return OkStatus();
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                        MissingExternalFiles(*install, selection->weights.front()));
  std::vector<hub::RemoteFile> files;
  for (const std::string& path : missing) {
    const auto found = std::find_if(repository_.files.begin(), repository_.files.end(),
                                    [&](const hub::RemoteFile& file) { return file.path == path; });
    if (found == repository_.files.end()) {
      return DataLoss("'" + selection->weights.front() + "' keeps weights in '" + Plain(path) +
                      "', which is not there; of a single file, install its folder instead");
    }
    files.push_back(*found);
    selection->weights.push_back(path);
  }
  return files.empty() ? OkStatus() : FetchSome(files, install);
}

Status Installer::Install() {
  MLOS_ASSIGN_OR_RETURN(package::Store * store, context_.store());
  store_root_ = store->root();
  MLOS_ASSIGN_OR_RETURN(const std::unique_ptr<package::Install> install, Begin(store));
  const std::optional<package::InstalledPackage>& existing = install->existing();
  // A commit cannot move: no need to ask anybody.
  if (existing && !options_.force && hub::IsCommit(ref_.revision) &&
      existing->manifest.revision == ref_.revision) {
    Report(*existing, "already installed", {});
    return OkStatus();
  }
  Result<hub::Repository> resolved = adapter_->Resolve(ref_, context_.interrupted());
  if (!resolved.ok()) {
    const bool unreachable = resolved.status().code() == Code::kUnavailable || settings_.offline;
    if (!existing || options_.force || !unreachable) return resolved.status();
    context_.Warn("axon: " + resolved.status().message() + ": cannot tell whether there is a newer commit");
    Report(*existing, "already installed", {});
    return OkStatus();
  }
  repository_ = *std::move(resolved);
  hub::SelectOptions select = options_.select;
  select.tensorflow = allows_fallback();
  MLOS_ASSIGN_OR_RETURN(hub::Selection selection, hub::SelectFiles(repository_.files, select));
  MLOS_ASSIGN_OR_RETURN(const bool up_to_date,
                        existing ? IsUpToDate(*existing, selection) : Result<bool>(false));
  if (up_to_date) {
    Report(*existing, "already installed", {});
    return OkStatus();
  }
  ReportPlan(selection);
  if (options_.dry_run) {
    for (const hub::RemoteFile& file : selection.files) {
      context_.Print(Plain(file.path) + "  " + os::FormatBytes(file.size_bytes) + "\n");
    }
    return OkStatus();
  }
  MLOS_RETURN_IF_ERROR(FetchAll(install.get(), &selection));
  MLOS_RETURN_IF_ERROR(FetchExternalData(install.get(), &selection));
  Result<BuiltPackage> built = Build(install.get(), &selection);
  if (!built.ok()) {
    // Fetching it again would not help: the room is worth more.
    (void)install->Discard();
    (void)store->CollectGarbage();
    return built.status();
  }
  if (const Status runs = TryOut(install.get(), &*built); !runs.ok()) {
    (void)install->Discard();
    (void)store->CollectGarbage();
    return runs;
  }
  const bool replaced = existing.has_value();
  MLOS_ASSIGN_OR_RETURN(const package::InstalledPackage package, install->Commit(std::move(built->manifest)));
  Report(package, replaced ? "updated" : "installed", built->notes);
  return OkStatus();
}

// Natively first.
Result<BuiltPackage> Installer::Build(package::Install* install, hub::Selection* selection) {
  if (selection->format == "tensorflow") refusal_ = Unimplemented("a TensorFlow model");
  if (refusal_.ok()) {
    Result<BuiltPackage> built = BuildPackage(repository_, *selection, ref_, install, options_.quantize);
    if (built.status().code() != Code::kUnimplemented || !allows_fallback()) return built;
    refusal_ = built.status();
  }
  if (!options_.quantize.empty())
    return Unimplemented("--quantize is for models that are converted natively: " + refusal_.message());
  const std::string format = selection->format;
  MLOS_ASSIGN_OR_RETURN(package::Conversion conversion, ConvertElsewhere(install, selection));
  MLOS_ASSIGN_OR_RETURN(BuiltPackage built, BuildPackage(repository_, *selection, ref_, install, ""));
  built.manifest.format_type = format;
  built.manifest.framework_name = format == "tensorflow" ? "tensorflow" : "pytorch";
  built.manifest.conversion = std::move(conversion);
  return built;
}

// The package then holds what the converter wrote, and the repository's small files; `selection` is told so.
Result<package::Conversion> Installer::ConvertElsewhere(package::Install* install,
                                                        hub::Selection* selection) {
  context_.Note("not converted natively: " + refusal_.message());
  const bool one_file = selection->format == "tensorflow" && selection->weights.front() != "saved_model.pb";
  const os::TemporaryDirectory scratch(install->dir().parent_path());
  FallbackRequest request;
  request.kind = options_.fallback;
  request.source = one_file ? install->dir() / selection->weights.front() : install->dir();
  request.out = scratch.path() / "onnx";
  request.may_install = options_.yes;
  request.interrupted = context_.interrupted();
  request.note = [this](const std::string& line) { context_.Note(line); };
  Result<std::vector<std::string>> graphs = RunFallback(request);
  if (!graphs.ok()) return graphs.status().WithContext("--fallback " + options_.fallback);
  if (graphs->size() > 1) {
    return Unimplemented("--fallback " + options_.fallback + " made a model of " +
                         std::to_string(graphs->size()) +
                         " graphs, which is not installed; axon convert --fallback " + options_.fallback +
                         " --out FOLDER leaves them in a folder");
  }
  package::Conversion conversion;
  conversion.converter = "fallback-" + options_.fallback;
  conversion.version = kVersion;
  conversion.architecture = ConverterFor(request.source);
  for (const package::PackageFile& file : install->files()) {
    const auto& weights = selection->weights;
    if (std::find(weights.begin(), weights.end(), file.path) != weights.end())
      conversion.sources.push_back(file);
  }
  for (const package::PackageFile& file : conversion.sources)
    MLOS_RETURN_IF_ERROR(install->RemoveFile(file.path));
  selection->format = "onnx";
  selection->weights = *graphs;
  const std::vector<package::PackageFile> own = install->files();
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> made, os::ListDirectory(request.out));
  for (const std::string& name : made) {
    if (package::FindFile(own, name) != nullptr) continue;
    MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(request.out / name));
    if (!info.is_regular) continue;
    MLOS_ASSIGN_OR_RETURN(const package::PackageFile file, install->AddCopy(name, request.out / name));
    if (name == graphs->front()) conversion.graph_sha256 = file.sha256;
  }
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                        MissingExternalFiles(*install, graphs->front()));
  if (!missing.empty())
    return DataLoss("the converter's graph keeps weights in '" + Plain(missing.front()) +
                    "', which it did not write");
  return conversion;
}

// What was converted has never run anywhere.
Status Installer::TryOut(package::Install* install, BuiltPackage* built) {
  package::Manifest& manifest = built->manifest;
  if (options_.no_check || !manifest.conversion || manifest.execution_format != "onnx") return OkStatus();
  const bool int8 = !manifest.conversion->quantization.empty();
  if (int8) MLOS_RETURN_IF_ERROR(AddReference(install));
  const Result<PackageCheck> check =
      CheckPackage(install->dir(), manifest.execution_files, built->max_length,
                   int8 ? install->dir() / kReferenceGraph : std::filesystem::path(), context_.interrupted());
  if (int8) MLOS_RETURN_IF_ERROR(RemoveReference(install));
  if (!check.ok()) return check.status().WithContext("the converted model does not run");
  manifest.conversion->verified = check->ran;
  built->notes.push_back(CheckText(*check));
  if (!int8) return OkStatus();
  manifest.conversion->quantization_max_abs = check->max_abs;
  manifest.conversion->quantization_cosine = std::max(check->ran ? check->cosine : 0.0, 0.0);
  built->notes.push_back(Int8Text(*check));
  return CheckInt8(*check);
}

void Installer::Report(const package::InstalledPackage& package, const char* what,
                       const std::vector<std::string>& notes) const {
  if (options_.json) return PrintJson(package, what);
  if (context_.quiet) return;
  for (const std::string& note : notes) context_.Print(Plain(note) + "\n");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string line = std::string(what) + " " + package.ref.ToString() + " (" +
                     package.manifest.execution_format + ", " + os::FormatBytes(package.size_bytes) +
                     ", commit " + ShortCommit(package.manifest.revision) + ")";
  if (fetched_.downloaded_bytes > 0 && fetched_.download_s > 0) {
    const auto speed =
        static_cast<uint64_t>(static_cast<double>(fetched_.downloaded_bytes) / fetched_.download_s);
    line += " in " + Seconds(seconds) + ": " + os::FormatBytes(fetched_.downloaded_bytes) +
            " downloaded at " + os::FormatBytes(speed) + "/s";
  }
  if (fetched_.copied_bytes > 0)
    line += ", " + os::FormatBytes(fetched_.copied_bytes) + " copied from this machine";
  if (fetched_.stored_bytes > 0) line += ", " + os::FormatBytes(fetched_.stored_bytes) + " were in the store";
  context_.Print(line + "\n");
  context_.Print("next: axon register " + package.ref.ToString() + "\n");
}

void Installer::PrintJson(const package::InstalledPackage& package, const char* what) const {
  JsonWriter json;
  json.BeginObject().Key("status").String(what).Key("ref").String(package.ref.ToString());
  json.Key("commit").String(package.manifest.revision);
  json.Key("format").String(package.manifest.execution_format);
  json.Key("path").String(package.dir.string()).Key("size_bytes").Uint(package.size_bytes);
  json.Key("downloaded_bytes")
      .Uint(fetched_.downloaded_bytes)
      .Key("resumed_bytes")
      .Uint(fetched_.resumed_bytes);
  json.Key("copied_bytes").Uint(fetched_.copied_bytes).Key("stored_bytes").Uint(fetched_.stored_bytes);
  json.Key("download_seconds").Double(fetched_.download_s);
  json.Key("seconds").Double(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  json.EndObject();
  context_.Print(json.str() + "\n");
}

}  // namespace

void AddInstall(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("install", "Install a model from a hub, a folder or a file");
  verb->alias("pull");
  auto options = std::make_shared<InstallOptions>();
  verb->add_option("SOURCE", options->source,
                   "hf/NAME or hf/ORG/NAME, with @REVISION if wanted; or a path: ./folder, ./model.gguf")
      ->required();
  verb->add_option("--as", options->as, "name of a model installed from a path: NAMESPACE/NAME[@REVISION]");
  AddSelectionOptions(verb, &options->select);
  verb->add_flag("--force", options->force, "install again what is installed already");
  verb->add_flag("--dry-run", options->dry_run, "show which files would be fetched, fetch nothing");
  verb->add_option("--quantize", options->quantize,
                   "int8: a converted encoder's linear layers in whole numbers")
      ->check(CLI::IsMember({"int8"}));
  verb->add_option("--fallback", options->fallback,
                   "python or container: what is not converted natively, by other people's converters "
                   "(default: none)")
      ->check(CLI::IsMember({"none", "python", "container"}));
  verb->add_flag("--yes", options->yes,
                 "the Python environment of the fall-back may be made (gigabytes are downloaded)");
  verb->add_flag("--no-check", options->no_check,
                 "do not execute a converted model once before it is installed");
  verb->add_flag("--json", options->json, "print the result as JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Installer(context, *options).Run(); });
}

}  // namespace mlos::axon
