// SPDX-License-Identifier: Apache-2.0
#include "axon/convert_gguf.h"

#include <chrono>

#include "axon/format.h"
#include "base/json_writer.h"
#include "convert/gguf/to_gguf.h"
#include "os/child_process.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"
#include "os/process.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

fs::path TargetOf(const ConvertGguf& verb) {
  if (verb.out.empty()) return verb.folder / "model.gguf";
  return verb.out.ends_with(".gguf") ? fs::path(verb.out) : fs::path(verb.out) / "model.gguf";
}

std::string Text(const convert::GgufResult& result, const fs::path& target, bool explain, double seconds) {
  std::string out = explain ? "would convert " : "converted ";
  out += result.architecture + " (" + std::to_string(result.parameter_count) + " parameters, context " +
         std::to_string(result.context_length) + ", tokenizer " + result.tokenizer + "/" +
         result.pre_tokenizer + (result.has_chat_template ? ", chat template" : "") +
         ") to GGUF: " + Plain(target.string()) + ", " + os::FormatBytes(result.size_bytes);
  out += explain ? "\n" : " in " + Seconds(seconds) + "\n";
  for (const std::string& note : result.notes) out += "note: " + Plain(note) + "\n";
  if (explain) {
    for (const std::string& name : result.used_tensors) out += "used     " + Plain(name) + "\n";
    for (const std::string& name : result.ignored_tensors) out += "ignored  " + Plain(name) + "\n";
  }
  return out;
}

std::string Json(const convert::GgufResult& result, const fs::path& target, bool explain, double seconds) {
  JsonWriter json;
  json.BeginObject().Key("status").String(explain ? "explained" : "converted").Key("format").String("gguf");
  json.Key("architecture").String(result.architecture).Key("path").String(target.string());
  json.Key("tokenizer").String(result.tokenizer).Key("pre_tokenizer").String(result.pre_tokenizer);
  json.Key("parameter_count").Uint(result.parameter_count).Key("context_length").Uint(result.context_length);
  json.Key("size_bytes").Uint(result.size_bytes).Key("seconds").Double(seconds);
  const auto list = [&](const char* key, const std::vector<std::string>& values) {
    json.Key(key).BeginArray();
    for (const std::string& value : values) json.String(value);
    json.EndArray();
  };
  list("source_files", result.source_files);
  list("used_tensors", result.used_tensors);
  list("ignored_tensors", result.ignored_tensors);
  list("notes", result.notes);
  json.EndObject();
  return std::move(json).Take() + "\n";
}

// The program beside this one; tests run from a folder beside bin/.
Result<fs::path> Quantizer() {
  MLOS_ASSIGN_OR_RETURN(const fs::path self, os::ExecutablePath());
  for (const char* place : {"mlos-quantize", "../bin/mlos-quantize"}) {
    const fs::path program = self.parent_path() / place;
    if (os::Exists(program)) return program;
  }
  return NotFound("there is no mlos-quantize beside " + self.string());
}

// Replaces the file by its quantised form.
Status Quantize(const fs::path& file, const std::string& type) {
  MLOS_ASSIGN_OR_RETURN(const fs::path program, Quantizer());
  fs::path part = file;
  part += ".quantized";
  MLOS_ASSIGN_OR_RETURN(const os::File nothing, os::File::Open("/dev/null", os::File::Mode::kRead));
  MLOS_ASSIGN_OR_RETURN(os::ChildProcess child,
                        os::ChildProcess::Start(program, {file.string(), part.string(), type}, nothing.fd()));
  const std::optional<os::ExitStatus> ended = child.Wait(-1);
  if (!ended || ended->signal != 0 || ended->code != 0) {
    (void)os::RemoveFile(part);
    return Unimplemented("mlos-quantize " + type + " " + (ended ? ended->ToString() : "did not end"));
  }
  std::error_code error;
  fs::rename(part, file, error);
  return error ? PermissionDenied("cannot rename to '" + file.string() + "': " + error.message())
               : OkStatus();
}

// In a file of another name, so that `target` appears whole and of the type that was asked for.
Result<convert::GgufResult> ConvertAndQuantize(const ConvertGguf& verb, const fs::path& target,
                                               const convert::GgufOptions& options) {
  if (verb.quantize.empty()) return convert::ConvertToGguf(verb.folder, target, options);
  fs::path wide = target;
  wide += ".unquantized";
  MLOS_ASSIGN_OR_RETURN(convert::GgufResult result, convert::ConvertToGguf(verb.folder, wide, options));
  Status status = Quantize(wide, verb.quantize);
  std::error_code error;
  if (status.ok()) fs::rename(wide, target, error);
  if (error) status = PermissionDenied("cannot rename to '" + target.string() + "': " + error.message());
  if (!status.ok()) {
    (void)os::RemoveFile(wide);
    return status;
  }
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(target));
  result.size_bytes = info.size_bytes;
  return result;
}

}  // namespace

int RunConvertGguf(Context& context, const ConvertGguf& verb) {
  const fs::path target = TargetOf(verb);
  const auto start = std::chrono::steady_clock::now();
  convert::GgufOptions options;
  options.type = verb.type;
  options.weights = verb.weights;
  if (!verb.explain && target.has_parent_path()) {
    const Status made = os::MakeDirectories(target.parent_path());
    if (!made.ok()) return context.Fail(made);
  }
  const auto result =
      verb.explain ? convert::ExplainGguf(verb.folder, options) : ConvertAndQuantize(verb, target, options);
  if (!result.ok()) return context.Fail(result.status().WithContext(verb.folder.string()));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (verb.json) {
    context.Print(Json(*result, target, verb.explain, seconds));
  } else if (!context.quiet) {
    context.Print(Text(*result, target, verb.explain, seconds));
  }
  return kExitOk;
}

}  // namespace mlos::axon
