// SPDX-License-Identifier: Apache-2.0
#include "axon/build_package.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/version.h"
#include "convert/architectures.h"
#include "convert/config.h"
#include "convert/convert.h"
#include "convert/gguf/decoder.h"
#include "convert/gguf/to_gguf.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"
#include "package/digest.h"
#include "package/format.h"
#include "preprocess/image_config.h"
#include "preprocess/text_pipeline.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;
using package::Manifest;

constexpr uint64_t kMaxConfigBytes = 16U << 20U;
constexpr char kGgufFile[] = "model.gguf";

bool Holds(const package::Install& install, const std::string& path) {
  return package::FindFile(install.files(), path) != nullptr;
}

std::string Now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string WithoutCredentials(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const size_t host = scheme + 3;
  const size_t at = url.substr(0, url.find('/', host)).rfind('@');
  return at == std::string::npos ? url : url.substr(0, host) + url.substr(at + 1);
}

Result<convert::Config> ReadConfig(const package::Install& install) {
  if (!Holds(install, "config.json")) {
    return Unimplemented(
        "SafeTensors weights without a config.json: nothing says which architecture they belong to");
  }
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(install.dir() / "config.json", kMaxConfigBytes));
  Result<convert::Config> config = convert::Config::Parse(json);
  return config.ok() ? std::move(config) : config.status().WithContext("config.json");
}

Status AddSideCar(package::Install* install, const convert::ConvertResult& converted) {
  if (converted.side_car.empty()) return OkStatus();
  const os::TemporaryDirectory folder(install->dir().parent_path());
  MLOS_RETURN_IF_ERROR(convert::WriteSideCar(install->dir(), converted, folder.path()));
  return install->AddCopy(converted.side_car_file, folder.path() / converted.side_car_file).status();
}

class Builder {
 public:
  Builder(const hub::Repository& repository, const hub::Selection& selection, const package::ModelRef& ref,
          package::Install* install, const std::string& quantize)
      : repository_(repository), selection_(selection), ref_(ref), install_(*install), quantize_(quantize) {}

  Result<BuiltPackage> Build() {
    FillMetadata();
    MLOS_RETURN_IF_ERROR(CheckWeights());
    if (IsConverted(selection_.format)) {
      MLOS_RETURN_IF_ERROR(ConvertWeights());
    } else {
      MLOS_RETURN_IF_ERROR(Inspect(selection_.weights.front(), selection_.format));
    }
    if (manifest_.execution_format == "onnx") FillText();
    if (manifest_.execution_format == "onnx") FillImage();
    FillRequirements();
    return std::move(built_);
  }

 private:
  void FillMetadata();
  Status CheckWeights() const;
  Status ConvertWeights();
  Status ConvertLanguageModel();
  Result<std::string> AddGraphs(const convert::ConvertResult& converted);
  Status InspectGraphs(const convert::ConvertResult& converted);
  Status Inspect(const std::string& path, const std::string& format);
  void FillFramework();
  void NoteUnused(const std::vector<std::string>& tensors);
  void FillText();
  void FillImage();
  std::string InputBesidesText() const;
  void FillPooling(const preprocess::SentenceConfig& config, package::TextSpec* text);
  void FillRequirements();
  void Note(std::string line) { built_.notes.push_back(std::move(line)); }

  const hub::Repository& repository_;
  const hub::Selection& selection_;
  const package::ModelRef& ref_;
  package::Install& install_;
  const std::string& quantize_;
  BuiltPackage built_;
  Manifest& manifest_ = built_.manifest;
  uint32_t max_length_ = 0;
};

void Builder::FillMetadata() {
  manifest_.namespace_ = ref_.namespace_;
  manifest_.name = ref_.name;
  manifest_.version = ref_.revision;
  manifest_.revision = repository_.commit;
  manifest_.license = repository_.license;
  manifest_.tags = repository_.tags;
  manifest_.created = Now();
  manifest_.source_url = WithoutCredentials(repository_.url);
  manifest_.registry = repository_.hub;
  if (repository_.hub != "local") manifest_.homepage = manifest_.source_url;
  manifest_.description =
      repository_.task.empty() ? repository_.id : repository_.id + " (" + repository_.task + ")";
  manifest_.format_type = selection_.format;
}

// A name is a promise; the first bytes tell whether it is kept (an error page saved as model.onnx, half a file).
Status Builder::CheckWeights() const {
  for (const std::string& path : selection_.weights) {
    const package::FileFormat named = package::FormatFromName(path);
    if (named == package::FileFormat::kUnknown) continue;  // external data
    const Result<package::FileFormat> found = package::DetectFormat(install_.dir() / path);
    if (!found.ok()) return found.status().WithContext(path);
    const bool checkpoint =
        named == package::FileFormat::kPytorchZip && *found == package::FileFormat::kPickle;
    if (*found != named && !checkpoint) {
      return DataLoss("'" + path + "' is named like " + std::string(package::FileFormatName(named)) +
                      " but holds " + std::string(package::FileFormatName(*found)));
    }
  }
  return OkStatus();
}

void Builder::FillFramework() {
  manifest_.framework_name = "pytorch";
  const Result<convert::Config> config = ReadConfig(install_);
  if (!config.ok()) return;
  const Result<std::string> version = config->String("transformers_version", "");
  if (version.ok() && !version->empty()) {
    manifest_.framework_name = "transformers";
    manifest_.framework_version = *version;
  }
}

void Builder::NoteUnused(const std::vector<std::string>& tensors) {
  constexpr size_t kShown = 3;
  if (tensors.empty()) return;
  std::string line = "not needed from the checkpoint: ";
  for (size_t i = 0; i < std::min(tensors.size(), kShown); ++i) line += (i == 0 ? "" : ", ") + tensors[i];
  if (tensors.size() > kShown) line += " and " + std::to_string(tensors.size() - kShown) + " more";
  Note(line);
}

// Decoder-only language models run on the GGUF plugin.
Status Builder::ConvertLanguageModel() {
  const os::TemporaryDirectory folder(install_.dir().parent_path());
  const auto converted = convert::ConvertToGguf(install_.dir(), folder.path() / kGgufFile, {});
  if (!converted.ok())
    return converted.status().WithContext("cannot convert '" + repository_.id + "' to GGUF");
  MLOS_ASSIGN_OR_RETURN(const package::PackageFile file,
                        install_.AddCopy(kGgufFile, folder.path() / kGgufFile));
  MLOS_RETURN_IF_ERROR(Inspect(kGgufFile, "gguf"));
  package::Conversion conversion;
  conversion.converter = "mlos-native";
  conversion.version = kVersion;
  conversion.architecture = converted->architecture;
  conversion.task = "text-generation";
  conversion.graph_sha256 = file.sha256;
  for (const package::PackageFile& source : install_.files()) {
    const auto& sources = converted->source_files;
    if (std::find(sources.begin(), sources.end(), source.path) != sources.end())
      conversion.sources.push_back(source);
  }
  manifest_.conversion = std::move(conversion);
  Note("converted " + converted->architecture + " to GGUF: " + kGgufFile + " " +
       os::FormatBytes(converted->size_bytes));
  for (const std::string& note : converted->notes) Note("note: " + note);
  NoteUnused(converted->ignored_tensors);
  return OkStatus();
}

Status Builder::ConvertWeights() {
  FillFramework();
  if (convert::LooksLikeDecoder(install_.dir())) {
    if (!quantize_.empty())
      return Unimplemented("--quantize int8 is for encoders; convert a language model with axon convert");
    return ConvertLanguageModel();
  }
  convert::ConvertOptions options;
  options.int8 = quantize_ == "int8";
  const Result<convert::ConvertResult> converted = convert::Convert(install_.dir(), options);
  if (!converted.ok())
    return converted.status().WithContext("cannot convert '" + repository_.id + "' to ONNX");
  MLOS_ASSIGN_OR_RETURN(const std::string graph_sha256, AddGraphs(*converted));
  MLOS_RETURN_IF_ERROR(AddSideCar(&install_, *converted));
  MLOS_RETURN_IF_ERROR(InspectGraphs(*converted));
  max_length_ = converted->max_length;
  built_.max_length = max_length_;
  manifest_.conversion = ConversionRecord(*converted, install_.files(), graph_sha256);
  manifest_.conversion->quantization = quantize_;
  std::string graphs;
  for (const convert::ConvertedGraph& graph : converted->graphs)
    graphs += (graphs.empty() ? "" : ", ") + graph.file + " " + os::FormatBytes(graph.onnx.size());
  Note("converted " + converted->architecture + " (" + converted->task + ") to ONNX: " + graphs +
       "; the weights stay where they are");
  NoteUnused(converted->ignored_tensors);
  return OkStatus();
}

// The digest of the first.
Result<std::string> Builder::AddGraphs(const convert::ConvertResult& converted) {
  std::string sha256;
  for (const convert::ConvertedGraph& graph : converted.graphs) {
    MLOS_ASSIGN_OR_RETURN(const package::PackageFile file, install_.AddContents(graph.file, graph.onnx));
    if (sha256.empty()) sha256 = file.sha256;
  }
  return sha256;
}

// The manifest's inputs and outputs are those of the first graph; each file declares its own.
Status Builder::InspectGraphs(const convert::ConvertResult& converted) {
  MLOS_RETURN_IF_ERROR(Inspect(converted.graphs.front().file, "onnx"));
  manifest_.execution_files.clear();
  for (const convert::ConvertedGraph& graph : converted.graphs)
    manifest_.execution_files.push_back({graph.file, "onnx", graph.type});
  return OkStatus();
}

Status Builder::Inspect(const std::string& path, const std::string& format) {
  Result<package::ModelFileInfo> info = package::InspectModelFile(install_.dir() / path);
  if (!info.ok()) return info.status().WithContext(path);
  manifest_.execution_format = format;
  manifest_.execution_files = {{path, format, "single"}};
  manifest_.inputs = std::move(info->inputs);
  manifest_.outputs = std::move(info->outputs);
  if (manifest_.framework_name.empty()) manifest_.framework_name = format;
  if (!info->name.empty() && repository_.hub == "local") manifest_.description = info->name;
  return OkStatus();
}

void Builder::FillText() {
  const auto is_ids = [](const TensorSpec& input) { return input.name == "input_ids"; };
  const bool takes_tokens = std::any_of(manifest_.inputs.begin(), manifest_.inputs.end(), is_ids);
  if (!takes_tokens || manifest_.outputs.empty() || manifest_.execution_files.size() != 1) return;
  const auto is_list_of_choices = [&](const TensorSpec& input) {
    return is_ids(input) && input.shape.size() > 2;
  };
  if (std::any_of(manifest_.inputs.begin(), manifest_.inputs.end(), is_list_of_choices))
    return Note("takes tensors, not text: its input_ids are lists of choices");
  if (const std::string other = InputBesidesText(); !other.empty()) {
    Note("takes tensors, not text: it has an input '" + other + "'");
    return;
  }
  if (!Holds(install_, "tokenizer.json")) {
    Note("no tokenizer.json: the model takes token ids, not text");
    return;
  }
  const Result<preprocess::SentenceConfig> config = preprocess::ReadSentenceConfig(install_.dir());
  if (!config.ok()) {
    Note("takes token ids, not text: " + config.status().message());
    return;
  }
  package::TextSpec text;
  text.max_length = max_length_;
  if (config->max_length != 0 && (max_length_ == 0 || config->max_length < max_length_))
    text.max_length = config->max_length;
  text.output = manifest_.outputs.front().name;
  FillPooling(*config, &text);
  manifest_.text = std::move(text);
}

// What the checkpoint says of its pictures is written down where every consumer of the manifest finds it.
void Builder::FillImage() {
  if (!Holds(install_, preprocess::kImageConfigFile)) return;
  Result<preprocess::ImageConfig> config = preprocess::ReadImageConfig(install_.dir());
  if (!config.ok()) return Note("how to prepare pictures is not known: " + config.status().message());
  package::ImageSpec image;
  image.config = preprocess::kImageConfigFile;
  image.processor = std::move(config->processor);
  image.resize = std::move(config->resize);
  image.size = std::move(config->size);
  image.resample = std::move(config->resample);
  image.crop = std::move(config->crop);
  image.rescale = config->rescale;
  image.mean = std::move(config->mean);
  image.std = std::move(config->std);
  manifest_.image = std::move(image);
}

// The first input that a tokenizer does not give; "" when there is none.
std::string Builder::InputBesidesText() const {
  constexpr std::array<std::string_view, 3> kGiven = {"input_ids", "attention_mask", "token_type_ids"};
  for (const TensorSpec& input : manifest_.inputs) {
    if (std::find(kGiven.begin(), kGiven.end(), input.name) == kGiven.end()) return input.name;
  }
  return "";
}

// A graph that pools itself has the output; for one that ends in token embeddings the pooling is written down, if it is
// one that can be done afterwards.
void Builder::FillPooling(const preprocess::SentenceConfig& config, package::TextSpec* text) {
  for (const TensorSpec& output : manifest_.outputs) {
    if (output.name != "sentence_embedding") continue;
    text->output = output.name;
    return;
  }
  if (!config.is_sentence_transformer) return;
  const auto tokens = std::find_if(manifest_.outputs.begin(), manifest_.outputs.end(),
                                   [](const TensorSpec& output) { return output.shape.size() == 3; });
  const bool known = config.pooling.size() == 1 && (config.pooling[0] == "mean" ||
                                                    config.pooling[0] == "cls" || config.pooling[0] == "max");
  if (tokens == manifest_.outputs.end() || !known) {
    Note("no sentence embedding: the pooling of this model is not supported");
    return;
  }
  text->pooling = config.pooling[0];
  text->normalize = config.normalize;
  text->pooling_input = tokens->name;
  text->output = "sentence_embedding";
}

// From sizes alone: the executed weights must fit into memory, all files on disk.
void Builder::FillRequirements() {
  uint64_t all = 0;
  uint64_t weights = 0;
  for (const package::PackageFile& file : install_.files()) {
    all += file.size_bytes;
    const auto& names = selection_.weights;
    if (std::find(names.begin(), names.end(), file.path) != names.end()) weights += file.size_bytes;
  }
  constexpr double kGb = 1e9;
  manifest_.requirements.storage_min_gb = static_cast<double>(all) / kGb;
  manifest_.requirements.memory_min_gb = static_cast<double>(weights) / kGb;
  manifest_.requirements.memory_recommended_gb = static_cast<double>(weights) * 1.5 / kGb;
}

}  // namespace

package::Conversion ConversionRecord(const convert::ConvertResult& converted,
                                     const std::vector<package::PackageFile>& files,
                                     const std::string& graph_sha256) {
  package::Conversion conversion;
  conversion.converter = kNativeConverter;
  conversion.version = kVersion;
  conversion.architecture = converted.architecture;
  conversion.task = converted.task;
  conversion.graph_sha256 = graph_sha256;
  for (const package::PackageFile& file : files) {
    const auto& sources = converted.source_files;
    if (std::find(sources.begin(), sources.end(), file.path) != sources.end())
      conversion.sources.push_back(file);
  }
  return conversion;
}

Result<std::vector<std::string>> MissingExternalFiles(const package::Install& install,
                                                      const std::string& path) {
  const Result<package::ModelFileInfo> info = package::InspectModelFile(install.dir() / path);
  if (!info.ok()) return info.status().WithContext(path);
  std::vector<std::string> missing;
  for (const std::string& name : info->external_files) {
    const std::string whole = (fs::path(path).parent_path() / name).lexically_normal().generic_string();
    if (!hub::IsSafePath(whole)) return DataLoss("'" + path + "' keeps weights outside the package");
    if (!Holds(install, whole)) missing.push_back(whole);
  }
  return missing;
}

bool IsConverted(const std::string& format) { return format == "safetensors" || format == "pytorch"; }

Status CheckConvertible(const package::Install& install, const std::string& format) {
  if (format == "pytorch" && !Holds(install, "config.json")) return OkStatus();
  MLOS_ASSIGN_OR_RETURN(const convert::Config config, ReadConfig(install));
  MLOS_ASSIGN_OR_RETURN(const std::string model_type, config.String("model_type", ""));
  if (convert::IsDecoderModelType(model_type)) return OkStatus();
  return convert::FindArchitecture(model_type).status();
}

Result<BuiltPackage> BuildPackage(const hub::Repository& repository, const hub::Selection& selection,
                                  const package::ModelRef& ref, package::Install* install,
                                  const std::string& quantize) {
  if (!quantize.empty() && !IsConverted(selection.format))
    return Unimplemented("only models that are converted here can be quantised; this one comes as " +
                         selection.format);
  return Builder(repository, selection, ref, install, quantize).Build();
}

Status AddReference(package::Install* install) {
  MLOS_ASSIGN_OR_RETURN(const convert::ConvertResult whole, convert::Convert(install->dir(), {}));
  MLOS_RETURN_IF_ERROR(AddSideCar(install, whole));
  return install->AddContents(kReferenceGraph, whole.graphs.front().onnx).status();
}

Status RemoveReference(package::Install* install) {
  if (Holds(*install, convert::kSideCarFile))
    MLOS_RETURN_IF_ERROR(install->RemoveFile(convert::kSideCarFile));
  return install->RemoveFile(kReferenceGraph);
}

}  // namespace mlos::axon
