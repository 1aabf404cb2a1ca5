// SPDX-License-Identifier: Apache-2.0
#include "axon/fallback.h"

#include <algorithm>
#include <array>

#include "axon/format.h"
#include "os/directory.h"
#include "os/file.h"
#include "os/file_lock.h"
#include "os/process.h"
#include "os/run_program.h"
#include "os/xdg.h"
#include "package/digest.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

constexpr double kConvertLimitS = 3600;
constexpr double kInstallLimitS = 7200;
constexpr uint32_t kNobody = 65534;

// Where convert.py and the lock files are: told, installed, or in the source tree this program was built in.
Result<fs::path> ConverterDir() {
  std::vector<fs::path> candidates;
  if (const auto told = os::GetEnv("MLOS_CONVERTER_DIR")) candidates.emplace_back(*told);
  MLOS_ASSIGN_OR_RETURN(const fs::path self, os::ExecutablePath());
  const fs::path bin = self.parent_path();
  candidates.push_back(bin / "../share/mlos/converter");
  candidates.push_back(bin / "../../../packaging/converter");
  for (const fs::path& candidate : candidates) {
    if (os::Exists(candidate / "convert.py")) return candidate.lexically_normal();
  }
  return FailedPrecondition(
      "the converter's files are not installed (share/mlos/converter); set MLOS_CONVERTER_DIR");
}

// The last lines of what a program said: where Python puts the reason.
std::string Tail(const std::string& text) {
  constexpr size_t kShown = 600;
  const size_t from = text.size() > kShown ? text.find('\n', text.size() - kShown) : 0;
  return Plain(text.substr(from == std::string::npos ? text.size() - kShown : from));
}

Status Ended(const os::ProgramResult& result, const std::string& what) {
  if (result.signal == 0 && result.exit_status == 0) return OkStatus();
  const std::string how = result.signal != 0 ? "signal " + std::to_string(result.signal)
                                             : "status " + std::to_string(result.exit_status);
  return Unimplemented(what + " ended with " + how + ": " + Tail(result.error + result.output));
}

// Anew, whatever was there.
Status MakeEnvironment(const FallbackRequest& request, const fs::path& venv, const fs::path& lock) {
  request.note("making the Python environment of the fall-back in " + venv.string() + "; this takes minutes");
  os::RunOptions options;
  options.timeout_s = kInstallLimitS;
  options.interrupted = request.interrupted;
  MLOS_ASSIGN_OR_RETURN(const fs::path python, os::FindProgram("python3"));
  MLOS_ASSIGN_OR_RETURN(const os::ProgramResult made,
                        os::RunProgram(python, {"-m", "venv", "--clear", venv.string()}, options));
  MLOS_RETURN_IF_ERROR(Ended(made, "python3 -m venv"));
  const std::vector<std::string> install = {
      "-m", "pip", "install", "--no-deps", "--no-compile", "--require-hashes", "-r", lock.string()};
  MLOS_ASSIGN_OR_RETURN(const os::ProgramResult installed,
                        os::RunProgram(venv / "bin/python", install, options));
  return Ended(installed, "pip install");
}

// A virtual environment with exactly the packages of the lock file; made anew when that changes.
Result<fs::path> PythonEnvironment(const FallbackRequest& request, const fs::path& converter) {
  if (const auto told = os::GetEnv("MLOS_CONVERTER_PYTHON")) return fs::path(*told);
  MLOS_ASSIGN_OR_RETURN(const os::Directories dirs, os::ResolveDirectories());
  const std::string name = ConverterFor(request.source);
  const fs::path folder = dirs.cache / "converter";
  const fs::path venv = folder / name;
  const fs::path lock = converter / (name + ".lock");
  MLOS_ASSIGN_OR_RETURN(const std::string digest, package::Sha256File(lock));
  const fs::path mark = venv / ".complete";
  const auto is_whole = [&] {
    const auto made_of = os::ReadFile(mark, 1000);
    return made_of.ok() && *made_of == digest;
  };
  if (is_whole()) return venv / "bin/python";
  if (!request.may_install) {
    const char* size =
        name == "tensorflow" ? "tf2onnx and TensorFlow: 1.6 GB" : "optimum and PyTorch: 4.4 GB";
    return FailedPrecondition("the Python environment of the fall-back is not there. It would be made in " +
                              venv.string() + " with the packages of " + lock.string() + " (" + size +
                              "); allow that with --yes");
  }
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(folder));
  MLOS_ASSIGN_OR_RETURN(const os::FileLock only_one,
                        os::FileLock::Acquire(folder / (name + ".making"), os::FileLock::Kind::kExclusive));
  if (is_whole()) return venv / "bin/python";
  MLOS_RETURN_IF_ERROR(MakeEnvironment(request, venv, lock));
  MLOS_RETURN_IF_ERROR(os::WriteFileAtomically(mark, digest));
  return venv / "bin/python";
}

Status RunPython(const FallbackRequest& request) {
  MLOS_ASSIGN_OR_RETURN(const fs::path converter, ConverterDir());
  MLOS_ASSIGN_OR_RETURN(const fs::path python, PythonEnvironment(request, converter));
  std::vector<std::string> arguments = {"-I", (converter / "convert.py").string(), request.source.string(),
                                        request.out.string()};
  if (!request.task.empty()) arguments.insert(arguments.end(), {"--task", request.task});
  os::RunOptions options;
  options.timeout_s = kConvertLimitS;
  options.interrupted = request.interrupted;
  request.note("converting with " + python.string());
  MLOS_ASSIGN_OR_RETURN(const os::ProgramResult result, os::RunProgram(python, arguments, options));
  return Ended(result, "the Python converter");
}

Status RunContainer(const FallbackRequest& request) {
  const auto image = os::GetEnv("MLOS_CONVERTER_IMAGE");
  if (!image) {
    return FailedPrecondition(
        "MLOS_CONVERTER_IMAGE is not set: the converter's image by digest; packaging/converter/Containerfile "
        "says how to build it");
  }
  for (const char* engine : {"podman", "docker"}) {
    const Result<fs::path> program = os::FindProgram(engine);
    if (!program.ok()) continue;
    MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> arguments,
                          ContainerArguments(request, engine, *image, os::UserId(), os::GroupId()));
    os::RunOptions options;
    options.timeout_s = kConvertLimitS;
    options.interrupted = request.interrupted;
    request.note(std::string("converting in a container of ") + engine);
    MLOS_ASSIGN_OR_RETURN(const os::ProgramResult result, os::RunProgram(*program, arguments, options));
    return Ended(result, std::string(engine) + " run");
  }
  return FailedPrecondition("neither podman nor docker is in $PATH");
}

bool IsDigest(std::string_view image) {
  const size_t at = image.rfind("sha256:");
  if (at == std::string_view::npos || !package::IsSha256Hex(image.substr(at + 7))) return false;
  return at == 0 || (image[at - 1] == '@' && image.front() != '-');
}

}  // namespace

std::string ConverterFor(const fs::path& source) {
  const std::string name = source.filename().string();
  constexpr std::array kSuffixes = {".keras", ".h5", ".hdf5", ".tflite", ".pb"};
  const bool is_file = std::any_of(kSuffixes.begin(), kSuffixes.end(),
                                   [&](const char* suffix) { return name.ends_with(suffix); });
  return is_file || os::Exists(source / "saved_model.pb") ? "tensorflow" : "transformers";
}

Result<std::vector<std::string>> ContainerArguments(const FallbackRequest& request,
                                                    const std::string& engine_name, const std::string& image,
                                                    uint32_t user, uint32_t group) {
  if (!IsDigest(image)) {
    return InvalidArgument(
        "MLOS_CONVERTER_IMAGE is '" + Plain(image) +
        "': wanted an image by digest (sha256:... or name@sha256:...), so that it is always the same one");
  }
  const fs::path source = fs::absolute(request.source).lexically_normal();
  const fs::path out = fs::absolute(request.out).lexically_normal();
  // A ':' or ',' would end the path and begin an option of the mount.
  for (const fs::path& path : {source, out}) {
    if (path.string().find_first_of(":,\n") != std::string::npos)
      return InvalidArgument("'" + Plain(path.string()) + "': a path with ':' or ',' cannot be mounted");
  }
  const std::string inside = "/in/" + source.filename().string();
  std::vector<std::string> arguments = {"run",
                                        "--rm",
                                        "--network",
                                        "none",
                                        "--read-only",
                                        "--cap-drop",
                                        "ALL",
                                        "--security-opt",
                                        "no-new-privileges",
                                        "--pids-limit",
                                        "512",
                                        "--tmpfs",
                                        "/tmp:rw,nosuid,nodev,size=8g"};
  const bool is_root = user == 0;
  if (engine_name == "podman" && !is_root) arguments.insert(arguments.end(), {"--userns", "keep-id"});
  arguments.insert(arguments.end(), {"--user", std::to_string(is_root ? kNobody : user) + ":" +
                                                   std::to_string(is_root ? kNobody : group)});
  arguments.insert(arguments.end(), {"--volume", source.string() + ":" + inside + ":ro"});
  arguments.insert(arguments.end(), {"--volume", out.string() + ":/out:rw"});
  arguments.insert(arguments.end(), {image, inside, "/out"});
  if (!request.task.empty()) arguments.insert(arguments.end(), {"--task", request.task});
  return arguments;
}

Result<std::vector<std::string>> RunFallback(const FallbackRequest& request) {
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(request.out));
  MLOS_RETURN_IF_ERROR(request.kind == "container" ? RunContainer(request) : RunPython(request));
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(request.out));
  std::vector<std::string> graphs;
  std::copy_if(names.begin(), names.end(), std::back_inserter(graphs),
               [](const std::string& name) { return name.ends_with(".onnx"); });
  if (graphs.empty()) return Internal("the converter ended well but wrote no .onnx file");
  return graphs;
}

}  // namespace mlos::axon
