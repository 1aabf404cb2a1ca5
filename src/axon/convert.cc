// SPDX-License-Identifier: Apache-2.0
// axon convert: a checkpoint on this machine -> ONNX beside its weights, or GGUF for decoder-only language models.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "axon/check_package.h"
#include "axon/convert_gguf.h"
#include "axon/convert_report.h"
#include "axon/fallback.h"
#include "axon/format.h"
#include "axon/verbs.h"
#include "convert/architectures.h"
#include "convert/convert.h"
#include "convert/gguf/decoder.h"
#include "convert/gguf/to_gguf.h"
#include "os/directory.h"
#include "os/file.h"
#include "os/replace_file.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

constexpr char kReferenceGraph[] = ".model.f32.onnx";
constexpr uint64_t kMaxCompanionBytes = 64U << 20U;

struct ConvertVerb {
  std::string source;
  std::string task;
  std::string out;
  std::string format = "auto";
  std::string type = "auto";
  std::string quantize;
  std::string fallback = "none";
  bool yes = false;
  bool no_check = false;
  bool explain = false;
  bool list = false;
  bool json = false;
};

// A file that is named instead of a folder holds weights.
Status CheckNamedFile(const std::string& name) {
  for (const char* suffix : {".onnx", ".gguf"}) {
    if (name.ends_with(suffix)) return InvalidArgument("runs as it is: axon install");
  }
  for (const char* suffix : {".json", ".txt", ".model", ".py", ".md", ".jinja"}) {
    if (name.ends_with(suffix)) return InvalidArgument("is no file of weights; name its folder");
  }
  return OkStatus();
}

class Converter {
 public:
  Converter(Context& context, const ConvertVerb& verb) : context_(context), verb_(verb) {}

  int Run() {
    if (verb_.list) return List();
    if (verb_.source.empty()) return context_.FailUsage("name a folder or a file to convert (or --list)");
    if (const Status located = Locate(); !located.ok())
      return context_.Fail(located.WithContext(verb_.source));
    const bool gguf =
        verb_.format == "gguf" || (verb_.format == "auto" && convert::LooksLikeDecoder(folder_));
    if (gguf) {
      return RunConvertGguf(context_, {folder_, options_.weights, verb_.out, verb_.type, verb_.quantize,
                                       verb_.explain, verb_.json});
    }
    if (verb_.type != "auto")
      return context_.FailUsage("--type is for GGUF; ONNX keeps the checkpoint's own bytes");
    if (!verb_.quantize.empty() && verb_.quantize != "int8")
      return context_.FailUsage("--quantize " + verb_.quantize +
                                " is for GGUF; this becomes ONNX, which knows int8");
    Status status = Convert();
    if (IsForFallback(status)) {
      if (verb_.fallback != "none") return ConvertElsewhere(status);
      status = Status(
          status.code(),
          status.message() + " (other people's converters may know it: --fallback python or container)");
    }
    return status.ok() ? Print() : context_.Fail(status.WithContext(verb_.source));
  }

 private:
  // What nobody here can convert, as against what is damaged or malicious.
  bool IsForFallback(const Status& status) const {
    return status.code() == Code::kUnimplemented && !verb_.explain && verb_.quantize.empty() &&
           os::Exists(verb_.source);
  }
  int ConvertElsewhere(const Status& why);
  int List() const;
  int Print() const;
  Status Convert();
  Status Locate();
  Status FindOtherTasks();
  Status Write();
  Status CopySources(const fs::path& target);
  Status TryOut(const fs::path& target);
  Status CompareInt8(const fs::path& target, const std::vector<package::ExecutionFile>& files);

  Context& context_;
  const ConvertVerb& verb_;
  fs::path folder_;
  convert::ConvertOptions options_;
  ConvertReport report_;
};

int Converter::ConvertElsewhere(const Status& why) {
  if (verb_.out.empty())
    return context_.FailUsage("--fallback needs --out DIR, a folder for what the converter writes");
  context_.Note("not converted natively: " + why.message());
  FallbackRequest request;
  request.kind = verb_.fallback;
  request.source = verb_.source;
  request.out = verb_.out;
  request.task = verb_.task;
  request.may_install = verb_.yes;
  request.interrupted = context_.interrupted();
  request.note = [this](const std::string& line) { context_.Note(line); };
  const auto graphs = RunFallback(request);
  if (!graphs.ok()) return context_.Fail(graphs.status().WithContext("--fallback " + verb_.fallback));
  std::vector<package::ExecutionFile> files;
  for (const std::string& graph : *graphs) files.push_back({graph, "onnx", "single"});
  PackageCheck check;
  if (!verb_.no_check) {
    const auto checked = CheckPackage(verb_.out, files, 0, {}, context_.interrupted());
    if (!checked.ok()) return context_.Fail(checked.status().WithContext("the converted model does not run"));
    check = *checked;
  }
  if (verb_.json) {
    JsonWriter json;
    json.BeginObject()
        .Key("converter")
        .String(verb_.fallback)
        .Key("folder")
        .String(verb_.out)
        .Key("files")
        .BeginArray();
    for (const std::string& graph : *graphs) json.String(graph);
    json.EndArray().Key("check").String(verb_.no_check ? "" : CheckText(check)).EndObject();
    context_.Print(json.str() + "\n");
  } else if (!context_.quiet) {
    for (const std::string& graph : *graphs)
      context_.Print("converted by --fallback " + verb_.fallback + ": " + verb_.out + "/" + Plain(graph) +
                     "\n");
    if (!verb_.no_check) context_.Print(CheckText(check) + "\n");
  }
  return kExitOk;
}

int Converter::List() const {
  if (!verb_.json) {
    context_.Print(ArchitecturesText());
    std::string decoders;
    for (const std::string& name : convert::DecoderModelTypes())
      decoders += (decoders.empty() ? "" : ", ") + name;
    context_.Print("to GGUF, text generation: " + decoders + "\n");
    return kExitOk;
  }
  JsonWriter json;
  WriteArchitecturesJson(&json);
  context_.Print(json.str() + "\n");
  return kExitOk;
}

// A file is converted as the only weights of its folder.
Status Converter::Locate() {
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(verb_.source));
  folder_ = verb_.source;
  options_.task = verb_.task;
  options_.int8 = verb_.quantize == "int8";
  if (info.is_directory) return OkStatus();
  options_.weights = folder_.filename().string();
  MLOS_RETURN_IF_ERROR(CheckNamedFile(options_.weights));
  folder_ = folder_.has_parent_path() ? folder_.parent_path() : fs::path(".");
  return OkStatus();
}

Status Converter::Convert() {
  if (ConverterFor(verb_.source) == "tensorflow")
    return Unimplemented("a TensorFlow model: not converted natively");
  const auto start = std::chrono::steady_clock::now();
  MLOS_ASSIGN_OR_RETURN(report_.result, convert::Convert(folder_, options_));
  report_.convert_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  for (const convert::ConvertedGraph& graph : report_.result.graphs) report_.graph_bytes += graph.onnx.size();
  for (const convert::SideCarPiece& piece : report_.result.side_car)
    report_.side_car_bytes = std::max(report_.side_car_bytes, piece.target_offset + piece.size_bytes);
  return verb_.explain ? FindOtherTasks() : Write();
}

// By trying: a conversion that would be refused is a task that the checkpoint cannot do.
Status Converter::FindOtherTasks() {
  for (const convert::Architecture* architecture : convert::Architectures()) {
    if (architecture->name != report_.result.architecture) continue;
    for (const std::string_view task : convert::TasksOf(*architecture)) {
      convert::ConvertOptions options = options_;
      options.task = task;
      if (task != report_.result.task && convert::Convert(folder_, options).ok())
        report_.other_tasks.emplace_back(task);
    }
  }
  return OkStatus();
}

Status Converter::Write() {
  const fs::path target = verb_.out.empty() ? folder_ : fs::path(verb_.out);
  report_.folder = target.string();
  if (!verb_.out.empty()) MLOS_RETURN_IF_ERROR(os::MakeDirectories(target));
  std::error_code error;
  if (!fs::equivalent(target, folder_, error)) MLOS_RETURN_IF_ERROR(CopySources(target));
  MLOS_RETURN_IF_ERROR(convert::WriteSideCar(folder_, report_.result, target));
  for (const convert::ConvertedGraph& graph : report_.result.graphs)
    MLOS_RETURN_IF_ERROR(os::ReplaceFile(target / graph.file, graph.onnx));
  return verb_.no_check ? OkStatus() : TryOut(target);
}

Status Converter::TryOut(const fs::path& target) {
  std::vector<package::ExecutionFile> files;
  for (const convert::ConvertedGraph& graph : report_.result.graphs)
    files.push_back({graph.file, "onnx", graph.type});
  if (options_.int8) return CompareInt8(target, files);
  MLOS_ASSIGN_OR_RETURN(const PackageCheck check,
                        CheckPackage(target, files, report_.result.max_length, {}, context_.interrupted()));
  report_.check = CheckText(check);
  return OkStatus();
}

// The f32 graph lies beside the other for as long as both are asked.
Status Converter::CompareInt8(const fs::path& target, const std::vector<package::ExecutionFile>& files) {
  convert::ConvertOptions options = options_;
  options.int8 = false;
  MLOS_ASSIGN_OR_RETURN(const convert::ConvertResult whole, convert::Convert(folder_, options));
  const fs::path reference = target / kReferenceGraph;
  const bool had_side_car = os::Exists(target / convert::kSideCarFile);
  MLOS_RETURN_IF_ERROR(convert::WriteSideCar(folder_, whole, target));
  MLOS_RETURN_IF_ERROR(os::WriteFile(reference, whole.graphs.front().onnx));
  const Result<PackageCheck> check =
      CheckPackage(target, files, report_.result.max_length, reference, context_.interrupted());
  (void)os::RemoveFile(reference);
  if (!had_side_car) (void)os::RemoveFile(target / convert::kSideCarFile);
  if (!check.ok()) return check.status();
  report_.int8 = Int8Text(*check);
  report_.int8_max_abs = check->max_abs;
  report_.int8_cosine = check->cosine;
  report_.check = CheckText(*check);
  return CheckInt8(*check);
}

// The graph points into files of its own folder only: the weights must be there. On file systems that can, the copy shares
// their blocks.
Status Converter::CopySources(const fs::path& target) {
  std::vector<std::string> names = report_.result.source_files;
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> beside, os::ListDirectory(folder_));
  for (const std::string& name : beside) {
    const bool small = name.ends_with(".json") || name.ends_with(".txt") || name.ends_with(".model");
    const auto info = os::Stat(folder_ / name);
    if (small && info.ok() && info->is_regular && info->size_bytes <= kMaxCompanionBytes)
      names.push_back(name);
  }
  for (const std::string& name : names) {
    const fs::path to = target / name;
    MLOS_RETURN_IF_ERROR(os::MakeDirectories(to.parent_path()));
    MLOS_RETURN_IF_ERROR(os::RemoveFile(to));
    MLOS_RETURN_IF_ERROR(os::CopyFile(folder_ / name, to));
    MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(to));
    report_.copied.push_back(name);
    report_.copied_bytes += info.size_bytes;
  }
  return OkStatus();
}

int Converter::Print() const {
  if (verb_.json) {
    JsonWriter json;
    WriteConvertJson(report_, &json);
    context_.Print(json.str() + "\n");
  } else if (verb_.explain) {
    context_.Print(ExplainText(report_));
  } else if (!context_.quiet) {
    context_.Print(ConvertedText(report_));
  }
  return kExitOk;
}

}  // namespace

void AddConvert(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand(
      "convert", "Make ONNX or GGUF of a SafeTensors or PyTorch checkpoint on this machine");
  auto options = std::make_shared<ConvertVerb>();
  verb->add_option("SOURCE", options->source,
                   "a folder with config.json and weights, or one file of weights");
  verb->add_option("--task", options->task,
                   "fill-mask, text-classification ... (default: as config.json says)");
  verb->add_option("--out", options->out,
                   "where to write (default: beside the weights, which then are not copied)");
  verb->add_option("-f,--format", options->format,
                   "onnx, gguf, or auto: gguf for decoder-only language models")
      ->check(CLI::IsMember({"onnx", "gguf", "auto"}));
  verb->add_option("--type", options->type, "GGUF: type of the matrices (default: as in the checkpoint)")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16"}));
  verb->add_option("--quantize", options->quantize,
                   "ONNX: int8, linear layers of encoders in whole numbers, with the error measured; "
                   "GGUF: q8_0, q6_k, q5_k_m, q4_k_m, q4_0 ...: by llama.cpp's quantiser");
  verb->add_option("--fallback", options->fallback,
                   "python or container: for what is not converted natively, other people's converters "
                   "(default: none)")
      ->check(CLI::IsMember({"none", "python", "container"}));
  verb->add_flag("--yes", options->yes,
                 "the Python environment of the fall-back may be made (gigabytes are downloaded)");
  verb->add_flag("--no-check", options->no_check, "do not execute the result once");
  verb->add_flag("--explain", options->explain, "write nothing; say what would be made of which tensors");
  verb->add_flag("--list", options->list, "list the architectures and their tasks");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Converter(context, *options).Run(); });
}

}  // namespace mlos::axon
