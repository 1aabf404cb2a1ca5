// SPDX-License-Identifier: Apache-2.0
#include "hub/select.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

namespace mlos::hub {
namespace {

// Best first: 4 bits with k-quants is where size and quality meet; then upwards, then what is smaller but worse.
constexpr std::array<std::string_view, 26> kQuantPreference = {
    "q4_k_m", "q4_k_s", "q4_0",   "q4_1",  "iq4_nl", "iq4_xs", "q5_k_m",  "q5_k_s", "q5_0",
    "q5_1",   "q6_k",   "q8_0",   "f16",   "bf16",   "f32",    "q4_k_l",  "q5_k_l", "q6_k_l",
    "q3_k_l", "q3_k_m", "q3_k_s", "iq3_m", "iq3_s",  "iq3_xs", "iq3_xxs", "q2_k"};

constexpr uint64_t kMaxCompanionBytes = 256U << 20U;

// Best first.
constexpr std::array<const char*, 4> kFormats = {"gguf", "onnx", "safetensors", "pytorch"};
constexpr char kFormatList[] = "gguf, onnx, safetensors, pytorch";
constexpr std::array<std::string_view, 4> kPytorchSuffixes = {".bin", ".pt", ".pth", ".ckpt"};

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view DirName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view ExtensionOf(std::string_view path) {
  const std::string_view name = BaseName(path);
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return GlobMatches(p, path); });
}

// "-00001-of-00003" just before the extension: {stem without it, parts}; parts is 0 for a file that is no shard.
struct Shard {
  std::string stem;
  int index = 0;
  int parts = 0;
};
Shard ShardOf(std::string_view path) {
  const size_t dot = path.rfind('.');
  const std::string_view stem = path.substr(0, dot);
  const auto is_digits = [](std::string_view t) {
    return t.size() == 5 && std::all_of(t.begin(), t.end(), [](unsigned char c) { return std::isdigit(c); });
  };
  constexpr size_t kTail = 15;  // "-00001-of-00003"
  if (stem.size() > kTail) {
    const std::string_view tail = stem.substr(stem.size() - kTail);
    if (tail[0] == '-' && tail.substr(6, 4) == "-of-" && is_digits(tail.substr(1, 5)) &&
        is_digits(tail.substr(10))) {
      return {std::string(stem.substr(0, stem.size() - kTail)), std::stoi(std::string(tail.substr(1, 5))),
              std::stoi(std::string(tail.substr(10)))};
    }
  }
  return {std::string(stem), 0, 0};
}

bool IsPytorch(std::string_view lower_path) {
  return std::any_of(kPytorchSuffixes.begin(), kPytorchSuffixes.end(),
                     [&](std::string_view suffix) { return lower_path.ends_with(suffix); });
}

class Selector {
 public:
  Selector(const std::vector<RemoteFile>& files, const SelectOptions& options) : options_(options) {
    for (const RemoteFile& file : files) {
      if (!MatchesAny(options.exclude, file.path)) files_.emplace(file.path, file);
    }
  }

  Result<Selection> Run() {
    if (!options_.include.empty()) return Included();
    if (!options_.file.empty()) return OneFile();
    if (!options_.quant.empty() && options_.format.empty()) return Require("gguf");
    if (!options_.format.empty()) return Require(options_.format);
    for (const char* format : kFormats) {
      MLOS_ASSIGN_OR_RETURN(std::optional<Selection> found, Choose(format));
      if (found) return *std::move(found);
    }
    return options_.tensorflow ? ChooseTensorflow() : Nothing();
  }

 private:
  std::vector<std::string> WithSuffix(std::string_view suffix) const {
    std::vector<std::string> out;
    for (const auto& [path, file] : files_) {
      if (Lower(path).ends_with(suffix)) out.push_back(path);
    }
    return out;
  }

  Result<Selection> Require(const std::string& format) {
    if (std::find(kFormats.begin(), kFormats.end(), format) == kFormats.end())
      return InvalidArgument("format '" + format + "' is not one of " + kFormatList);
    MLOS_ASSIGN_OR_RETURN(std::optional<Selection> found, Choose(format));
    if (found) return *std::move(found);
    return NotFound("the repository has no " + format + " weights; it has: " + Listing());
  }

  Result<std::optional<Selection>> Choose(const std::string& format) {
    if (format == "gguf") return ChooseGguf();
    if (format == "onnx") return ChooseOnnx();
    if (format == "pytorch") return ChoosePytorch();
    return ChooseSafetensors();
  }

  Result<std::optional<Selection>> ChooseGguf();
  Result<std::optional<Selection>> ChooseOnnx();
  Result<std::optional<Selection>> ChooseSafetensors();
  Result<std::optional<Selection>> ChoosePytorch();
  Result<Selection> ChooseTensorflow() const;
  std::vector<std::string> PytorchFiles() const;
  Result<Selection> OneFile();
  Result<Selection> Included();
  Status Nothing() const;
  std::string Listing() const;
  void AddShards(const std::string& first, std::vector<std::string>* weights) const;
  void AddExternalData(const std::string& model, std::vector<std::string>* weights) const;
  bool IsCompanion(const RemoteFile& file, const std::string& format) const;
  Selection Finish(std::string format, std::vector<std::string> weights, std::string reason) const;

  const SelectOptions& options_;
  std::map<std::string, RemoteFile> files_;
};

// Weight-like files, for error messages.
std::string Selector::Listing() const {
  std::string out;
  int count = 0;
  for (const auto& [path, file] : files_) {
    if (count == 8) {
      out += ", ... (" + std::to_string(files_.size()) + " files in all)";
      break;
    }
    out += (count++ == 0 ? "" : ", ") + path;
  }
  return out.empty() ? "nothing" : out;
}

void Selector::AddShards(const std::string& first, std::vector<std::string>* weights) const {
  const Shard shard = ShardOf(first);
  for (const auto& [path, file] : files_) {
    if (path == first || shard.parts == 0) continue;
    const Shard other = ShardOf(path);
    const bool same_kind = ExtensionOf(path) == ExtensionOf(first);
    if (other.parts == shard.parts && other.stem == shard.stem && same_kind) weights->push_back(path);
  }
}

Result<std::optional<Selection>> Selector::ChooseGguf() {
  std::vector<std::string> candidates;
  for (const std::string& path : WithSuffix(".gguf")) {
    const std::string name = Lower(BaseName(path));
    const bool helper = name.starts_with("mmproj") || name.find("imatrix") != std::string::npos;
    if (!helper && ShardOf(path).index <= 1) candidates.push_back(path);
  }
  if (candidates.empty()) return std::optional<Selection>();
  std::string chosen;
  std::string reason;
  const auto find_quant = [&](std::string_view quant) {
    return std::find_if(candidates.begin(), candidates.end(),
                        [&](const std::string& path) { return QuantOfFileName(path) == quant; });
  };
  std::set<std::string> quants;
  for (const std::string& path : candidates) quants.insert(QuantOfFileName(path));
  std::string offered;
  for (const std::string& quant : quants)
    offered += (offered.empty() ? "" : ", ") + (quant.empty() ? "unnamed" : quant);
  if (!options_.quant.empty()) {
    const auto found = find_quant(Lower(options_.quant));
    if (found == candidates.end()) {
      return NotFound("no GGUF file with quantisation '" + options_.quant + "'; there are: " + offered);
    }
    chosen = *found;
  } else if (candidates.size() == 1) {
    chosen = candidates.front();
  } else {
    for (const std::string_view quant : kQuantPreference) {
      if (const auto found = find_quant(quant); found != candidates.end()) {
        chosen = *found;
        reason = "quantisation " + std::string(quant) + " of: " + offered + " (choose with --quant)";
        break;
      }
    }
    if (chosen.empty()) {
      return NotFound("several GGUF files and none with a known quantisation: " + Listing() +
                      "; choose with --file");
    }
  }
  std::vector<std::string> weights = {chosen};
  AddShards(chosen, &weights);
  if (const Shard shard = ShardOf(chosen);
      shard.parts != 0 && static_cast<int>(weights.size()) != shard.parts) {
    return DataLoss("'" + chosen + "' is one of " + std::to_string(shard.parts) +
                    " parts, but the repository has " + std::to_string(weights.size()) + " of them");
  }
  return std::optional(Finish("gguf", std::move(weights), std::move(reason)));
}

// External data lies beside the model under names that begin with the model's: model.onnx_data, model.onnx.data,
// model.onnx_data_1. What it is really called stands in the model; the installer reads that and fetches the rest.
void Selector::AddExternalData(const std::string& model, std::vector<std::string>* weights) const {
  for (const auto& [path, file] : files_) {
    if (path.size() > model.size() && path.starts_with(model) && !path.ends_with(".onnx"))
      weights->push_back(path);
  }
}

Result<std::optional<Selection>> Selector::ChooseOnnx() {
  const std::vector<std::string> candidates = WithSuffix(".onnx");
  if (candidates.empty()) return std::optional<Selection>();
  std::string chosen;
  for (const char* usual : {"model.onnx", "onnx/model.onnx"}) {
    if (chosen.empty() && files_.count(usual) != 0) chosen = usual;
  }
  if (chosen.empty() && candidates.size() == 1) chosen = candidates.front();
  if (chosen.empty()) {
    // Something else may do; only without an alternative is this the user's choice to make.
    if (options_.format.empty() && !(WithSuffix(".safetensors").empty() && PytorchFiles().empty()))
      return std::optional<Selection>();
    return NotFound("several ONNX files and none called model.onnx: " + Listing() + "; choose with --file");
  }
  std::vector<std::string> weights = {chosen};
  AddExternalData(chosen, &weights);
  const std::string reason = candidates.size() == 1 ? ""
                                                    : chosen + " of " + std::to_string(candidates.size()) +
                                                          " ONNX files (choose with --file)";
  return std::optional(Finish("onnx", std::move(weights), reason));
}

Result<std::optional<Selection>> Selector::ChooseSafetensors() {
  std::vector<std::string> root;
  for (const std::string& path : WithSuffix(".safetensors")) {
    if (DirName(path).empty() && !path.starts_with("adapter_") && !path.starts_with("golden."))
      root.push_back(path);
  }
  if (root.empty()) return std::optional<Selection>();
  std::string chosen;
  if (files_.count("model.safetensors") != 0) chosen = "model.safetensors";
  for (const std::string& path : root) {
    if (chosen.empty() && ShardOf(path).index == 1) chosen = path;
  }
  if (chosen.empty() && root.size() == 1) chosen = root.front();
  if (chosen.empty()) {
    return NotFound("several SafeTensors files and none called model.safetensors: " + Listing() +
                    "; choose with --file");
  }
  std::vector<std::string> weights = {chosen};
  AddShards(chosen, &weights);
  return std::optional(Finish("safetensors", std::move(weights), ""));
}

// Checkpoints in the repository's own folder; what trainers leave beside them does not count.
std::vector<std::string> Selector::PytorchFiles() const {
  std::vector<std::string> out;
  for (const auto& [path, file] : files_) {
    const std::string name = Lower(path);
    const bool other = name.starts_with("training_args") || name.starts_with("optimizer") ||
                       name.starts_with("scheduler") || name.starts_with("rng_state") ||
                       name.starts_with("adapter_");
    if (DirName(path).empty() && IsPytorch(name) && !other) out.push_back(path);
  }
  return out;
}

Result<std::optional<Selection>> Selector::ChoosePytorch() {
  const std::vector<std::string> candidates = PytorchFiles();
  if (candidates.empty()) return std::optional<Selection>();
  std::string chosen;
  if (files_.count("pytorch_model.bin") != 0) chosen = "pytorch_model.bin";
  for (const std::string& path : candidates) {
    if (chosen.empty() && ShardOf(path).index == 1) chosen = path;
  }
  if (chosen.empty() && candidates.size() == 1) chosen = candidates.front();
  if (chosen.empty()) {
    return NotFound("several PyTorch files and none called pytorch_model.bin: " + Listing() +
                    "; choose with --file");
  }
  std::vector<std::string> weights = {chosen};
  AddShards(chosen, &weights);
  return std::optional(Finish("pytorch", std::move(weights), ""));
}

Result<Selection> Selector::OneFile() {
  std::vector<std::string> found;
  for (const auto& [path, file] : files_) {
    if (path == options_.file) found.assign(1, path);
    if (path == options_.file) break;
    if (BaseName(path) == options_.file) found.push_back(path);
  }
  if (found.empty())
    return NotFound("the repository has no file '" + options_.file + "'; it has: " + Listing());
  if (found.size() > 1)
    return InvalidArgument("'" + options_.file + "' is in several folders: give its whole path");
  const std::string& chosen = found.front();
  std::vector<std::string> weights = {chosen};
  const std::string name = Lower(chosen);
  std::string format;
  if (name.ends_with(".gguf")) format = "gguf";
  if (name.ends_with(".onnx")) format = "onnx";
  if (name.ends_with(".safetensors")) format = "safetensors";
  if (IsPytorch(name)) format = "pytorch";
  if (format.empty()) return Unimplemented("'" + chosen + "' is none of " + kFormatList + ": not supported");
  if (format == "onnx") AddExternalData(chosen, &weights);
  AddShards(chosen, &weights);
  return Finish(format, std::move(weights), "");
}

Result<Selection> Selector::Included() {
  std::erase_if(files_, [this](const auto& entry) { return !MatchesAny(options_.include, entry.first); });
  if (files_.empty()) return NotFound("no file matches --include");
  std::optional<Selection> chosen;
  for (const char* format : kFormats) {
    if (chosen || (!options_.format.empty() && options_.format != format)) continue;
    MLOS_ASSIGN_OR_RETURN(chosen, Choose(format));
  }
  if (!chosen) return NotFound("none of the included files can be executed: " + Listing());
  chosen->files.clear();
  chosen->total_bytes = 0;
  for (const auto& [path, file] : files_) {
    chosen->files.push_back(file);
    chosen->total_bytes += file.size_bytes;
  }
  return *std::move(chosen);
}

// A SavedModel is a folder, the others are one file.
Result<Selection> Selector::ChooseTensorflow() const {
  std::vector<std::string> weights;
  if (files_.contains("saved_model.pb")) {
    weights.emplace_back("saved_model.pb");
    for (const auto& [path, file] : files_) {
      if (path.starts_with("variables/") || path.starts_with("assets/")) weights.push_back(path);
    }
    return Finish("tensorflow", std::move(weights), "");
  }
  for (const std::string_view suffix : {".keras", ".h5", ".hdf5", ".tflite"}) {
    for (const std::string& path : WithSuffix(suffix)) weights.push_back(path);
  }
  if (weights.empty()) return Nothing();
  if (weights.size() > 1)
    return NotFound("several TensorFlow models: " + Listing() + "; choose with --include");
  return Finish("tensorflow", std::move(weights), "");
}

Status Selector::Nothing() const {
  return NotFound(
      "nothing here can be executed (wanted: GGUF, ONNX, SafeTensors or PyTorch; TensorFlow: with --fallback "
      "python or container); the repository has: " +
      Listing());
}

bool Selector::IsCompanion(const RemoteFile& file, const std::string& format) const {
  static const std::array<const char*, 24> kRoot = {"config.json",
                                                    "generation_config.json",
                                                    "tokenizer*.json",
                                                    "tokenizer.model",
                                                    "*.tiktoken",
                                                    "vocab.*",
                                                    "merges.txt",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "preprocessor_config.json",
                                                    "processor_config.json",
                                                    "chat_template*",
                                                    "modules.json",
                                                    "sentence_bert_config.json",
                                                    "config_sentence_transformers.json",
                                                    "spiece.model",
                                                    "sentencepiece*.model",
                                                    "LICENSE*",
                                                    "LICENCE*",
                                                    "NOTICE*",
                                                    "README*",
                                                    "*.safetensors.index.json",
                                                    "pytorch_model.bin.index.json",
                                                    "golden.safetensors"};
  if (file.size_bytes > kMaxCompanionBytes) return false;
  const std::string_view dir = DirName(file.path);
  const std::string name(BaseName(file.path));
  if (dir.empty()) {
    if (name.ends_with(".safetensors.index.json") && format != "safetensors") return false;
    if (name.ends_with(".bin.index.json") && format != "pytorch") return false;
    return std::any_of(kRoot.begin(), kRoot.end(), [&](const char* p) { return GlobMatches(p, name); });
  }
  // sentence-transformers modules: 1_Pooling/config.json, 2_Dense/config.json + its weights.
  const bool module = dir.find('/') == std::string_view::npos && dir.size() > 2 &&
                      std::isdigit(static_cast<unsigned char>(dir[0])) != 0 &&
                      dir.find('_') != std::string_view::npos;
  if (!module) return false;
  // Weights of a module in one format, SafeTensors where they are there.
  if (name == "pytorch_model.bin") return files_.count(std::string(dir) + "/model.safetensors") == 0;
  return name == "config.json" || name == "model.safetensors";
}

Selection Selector::Finish(std::string format, std::vector<std::string> weights, std::string reason) const {
  Selection selection;
  selection.format = std::move(format);
  selection.reason = std::move(reason);
  const std::set<std::string> wanted(weights.begin(), weights.end());
  for (const auto& [path, file] : files_) {
    if (wanted.count(path) == 0 && !IsCompanion(file, selection.format)) continue;
    selection.files.push_back(file);
    selection.total_bytes += file.size_bytes;
  }
  selection.weights = std::move(weights);
  return selection;
}

}  // namespace

bool GlobMatches(const std::string& pattern, const std::string& path) {
  return fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
}

std::string QuantOfFileName(std::string_view path) {
  const std::string stem = Lower(BaseName(ShardOf(path).stem));
  // The last part between "-" or "." that begins like a quantisation.
  std::string best;
  for (size_t begin = 0; begin < stem.size();) {
    const size_t end = std::min(stem.find_first_of("-.", begin), stem.size());
    const std::string part = stem.substr(begin, end - begin);
    const auto digit_at = [&part](size_t i) {
      return i < part.size() && std::isdigit(static_cast<unsigned char>(part[i]));
    };
    const bool quant = (part.starts_with("q") && digit_at(1)) || (part.starts_with("iq") && digit_at(2)) ||
                       (part.starts_with("tq") && digit_at(2)) || part == "f16" || part == "bf16" ||
                       part == "f32" || part == "fp16" || part.starts_with("mxfp");
    if (quant) best = part == "fp16" ? "f16" : part;
    begin = end + 1;
  }
  return best;
}

Result<Selection> SelectFiles(const std::vector<RemoteFile>& files, const SelectOptions& options) {
  return Selector(files, options).Run();
}

}  // namespace mlos::hub
