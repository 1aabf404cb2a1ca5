// SPDX-License-Identifier: Apache-2.0
#include "convert/convert.h"

#include <utility>

#include "convert/architectures.h"
#include "convert/checkpoint.h"
#include "convert/config.h"
#include "convert/graph.h"
#include "convert/int8.h"
#include "convert/sentence_transformers.h"
#include "convert/strided.h"
#include "convert/weight_files.h"
#include "os/file.h"
#include "os/mapped_file.h"
#include "preprocess/sentence_modules.h"

namespace mlos::convert {
namespace {

using preprocess::SentenceModule;

constexpr uint64_t kMaxConfigBytes = 16'000'000;
constexpr uint64_t kSideCarChunk = 4 << 20;

Status AddWeights(const std::filesystem::path& dir, const std::vector<SentenceModule>& modules,
                  const std::string& weights, Checkpoint* checkpoint) {
  const std::string folder = modules.empty() ? "" : modules.front().path;
  if (weights.empty()) {
    MLOS_RETURN_IF_ERROR(checkpoint->Add(dir, folder, ""));
  } else {
    MLOS_RETURN_IF_ERROR(checkpoint->AddFile(dir, folder.empty() ? weights : folder + "/" + weights, ""));
  }
  for (const SentenceModule& module : modules) {
    if (module.kind != SentenceModule::Kind::kDense) continue;
    MLOS_RETURN_IF_ERROR(checkpoint->Add(dir, module.path, DensePrefix(module)));
  }
  return OkStatus();
}

Result<Config> ReadConfig(const std::filesystem::path& dir, const std::vector<SentenceModule>& modules) {
  const std::filesystem::path folder = modules.empty() ? dir : dir / modules.front().path;
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(folder / "config.json", kMaxConfigBytes));
  return Config::Parse(json);
}

// An explicit task other than sentence-similarity asks for the encoder's own outputs.
Result<std::vector<SentenceModule>> ModulesFor(const std::filesystem::path& dir, const std::string& task) {
  if (!task.empty() && task != "sentence-similarity") return std::vector<SentenceModule>{};
  MLOS_ASSIGN_OR_RETURN(std::vector<SentenceModule> modules, preprocess::ReadSentenceModules(dir));
  // A Transformer alone (a cross-encoder, say) is the model as config.json says.
  if (modules.size() == 1 && modules.front().path.empty()) modules.clear();
  if (modules.empty() && !task.empty()) {
    return Unimplemented(
        "task 'sentence-similarity' needs a sentence-transformers package; there is no modules.json");
  }
  return modules;
}

Status CopyStrided(const std::filesystem::path& dir, const SideCarPiece& piece, const os::File& target) {
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile source, os::MappedFile::Open(dir / piece.file));
  if (piece.offset > source.size()) return DataLoss(piece.file + " became shorter while it was read");
  StridedReader reader(source.bytes().subspan(piece.offset), piece.shape, piece.strides,
                       DTypeSize(piece.dtype));
  std::vector<std::byte> buffer(std::min(piece.size_bytes, kSideCarChunk));
  for (uint64_t done = 0; done < piece.size_bytes;) {
    const size_t got = reader.Read(buffer);
    if (got == 0) return Internal(piece.file + ": a strided tensor ended early");
    MLOS_RETURN_IF_ERROR(
        target.WriteAt(piece.target_offset + done, std::span<const std::byte>(buffer).first(got)));
    done += got;
  }
  return OkStatus();
}

Status WriteInt8(const std::filesystem::path& dir, const SideCarPiece& piece, const os::File& target) {
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile source, os::MappedFile::Open(dir / piece.file));
  if (piece.offset > source.size()) return DataLoss(piece.file + " became shorter while it was read");
  MLOS_ASSIGN_OR_RETURN(const Int8Matrix matrix, QuantizeMatrix(source.bytes().subspan(piece.offset),
                                                                piece.dtype, piece.shape, piece.strides));
  const bool scales = piece.form == SideCarPiece::Form::kInt8Scales;
  const std::span<const std::byte> bytes =
      scales ? std::as_bytes(std::span(matrix.scales)) : std::as_bytes(std::span(matrix.values));
  return target.WriteAt(piece.target_offset, bytes);
}

Status CopyPiece(const std::filesystem::path& dir, const SideCarPiece& piece, const os::File& target) {
  if (piece.form != SideCarPiece::Form::kSame) return WriteInt8(dir, piece, target);
  if (!piece.strides.empty()) return CopyStrided(dir, piece, target);
  MLOS_ASSIGN_OR_RETURN(const os::File source, os::File::Open(dir / piece.file, os::File::Mode::kRead));
  std::vector<std::byte> buffer(std::min(piece.size_bytes, kSideCarChunk));
  for (uint64_t done = 0; done < piece.size_bytes;) {
    const uint64_t wanted = std::min<uint64_t>(buffer.size(), piece.size_bytes - done);
    MLOS_ASSIGN_OR_RETURN(const size_t got,
                          source.ReadAt(piece.offset + done, std::span(buffer).first(wanted)));
    if (got == 0) return DataLoss(piece.file + " became shorter while it was read");
    MLOS_RETURN_IF_ERROR(
        target.WriteAt(piece.target_offset + done, std::span<const std::byte>(buffer).first(got)));
    done += got;
  }
  return OkStatus();
}

}  // namespace

bool LooksConvertible(const std::filesystem::path& package_dir) {
  const auto weights = [](const std::filesystem::path& dir) {
    const auto found = FindWeightFiles(dir);
    if (!found.ok()) return false;
    const bool is_torch = !found->files.empty() && !found->files.front().ends_with(".safetensors");
    return is_torch || os::Exists(dir / "config.json");
  };
  if (weights(package_dir)) return true;
  const auto modules = preprocess::ReadSentenceModules(package_dir);
  return modules.ok() && !modules->empty() && weights(package_dir / modules->front().path);
}

Result<ConvertResult> Convert(const std::filesystem::path& package_dir, const ConvertOptions& options) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<SentenceModule> modules, ModulesFor(package_dir, options.task));
  Checkpoint checkpoint;
  const bool named = modules.empty() && !os::Exists(package_dir / "config.json");
  // Headers of weights come second: a config.json that is not known is the better message.
  if (named) MLOS_RETURN_IF_ERROR(AddWeights(package_dir, modules, options.weights, &checkpoint));
  MLOS_ASSIGN_OR_RETURN(const Config config, named ? Config::Parse("{}") : ReadConfig(package_dir, modules));
  MLOS_ASSIGN_OR_RETURN(const std::string model_type, config.String("model_type", ""));
  MLOS_ASSIGN_OR_RETURN(const Architecture* architecture,
                        named ? FindArchitectureByTensors(checkpoint) : FindArchitecture(model_type));
  MLOS_ASSIGN_OR_RETURN(std::vector<std::string> class_names, config.Strings("architectures"));
  if (named) class_names = {std::string(architecture->classes.front().class_name)};
  // Sentence-transformers loads the bare encoder, whatever class the checkpoint was saved from.
  const std::string_view task = modules.empty() ? std::string_view(options.task) : "feature-extraction";
  MLOS_ASSIGN_OR_RETURN(const Head head, ChooseHead(*architecture, class_names, task));

  if (!named) MLOS_RETURN_IF_ERROR(AddWeights(package_dir, modules, options.weights, &checkpoint));
  GraphBuilder g(checkpoint, options.int8 ? kInt8File : kSideCarFile);
  if (options.int8) g.UseInt8();
  const BuildContext context{config, head, /*encoder_only=*/!modules.empty()};
  MLOS_ASSIGN_OR_RETURN(const BuildResult built, architecture->build(g, context));
  if (!modules.empty()) MLOS_RETURN_IF_ERROR(AddSentenceEmbedding(g, built.encoder, package_dir, modules));
  MLOS_ASSIGN_OR_RETURN(BuiltModel model, std::move(g).Finish(built.ignore));

  if (options.int8 && (model.int8_tensors == 0 || model.graphs.size() > 1)) {
    return Unimplemented("int8: only encoders with linear layers are quantised; " +
                         std::string(architecture->name) +
                         (model.graphs.size() > 1 ? " has several graphs" : " has none"));
  }

  ConvertResult result;
  result.graphs = std::move(model.graphs);
  result.architecture = architecture->name;
  result.task = modules.empty() ? TaskName(head) : "sentence-similarity";
  result.source_files = std::move(model.source_files);
  result.ignored_tensors = std::move(model.ignored_tensors);
  result.used_tensors = std::move(model.used_tensors);
  result.side_car = std::move(model.side_car);
  result.side_car_file = options.int8 ? kInt8File : kSideCarFile;
  result.int8_tensors = model.int8_tensors;
  result.parameter_count = model.parameter_count;
  result.max_length = built.max_length;
  return result;
}

Status WriteSideCar(const std::filesystem::path& package_dir, const ConvertResult& result,
                    const std::filesystem::path& target_dir) {
  if (result.side_car.empty()) return OkStatus();
  MLOS_ASSIGN_OR_RETURN(os::File target,
                        os::File::Open(target_dir / result.side_car_file, os::File::Mode::kCreate));
  for (const SideCarPiece& piece : result.side_car)
    MLOS_RETURN_IF_ERROR(CopyPiece(package_dir, piece, target));
  MLOS_RETURN_IF_ERROR(target.Sync());
  return target.Close();
}

}  // namespace mlos::convert
