// SPDX-License-Identifier: Apache-2.0
#include "package/manifest.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "os/file.h"
#include "package/digest.h"
#include "package/path.h"
#include "package/ref.h"
#include "package/yaml_document.h"

namespace mlos::package {
namespace {

constexpr uint64_t kMaxManifestBytes = 4'000'000;
constexpr size_t kMaxRank = 32;
// Sizes that a signed 64-bit file offset holds.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 62;

constexpr std::array<std::string_view, 3> kIsolations = {"process", "unsafe-process", "none"};
constexpr std::array<std::string_view, 3> kBatchings = {"auto", "on", "off"};

enum class Need { kRequired, kOptional };

// A node and where it is, for messages: "spec.format.files[0]".
struct At {
  const YamlNode* node = nullptr;  // null: left out
  std::string path;
};

// Reads typed values out of the tree and remembers the first error; after that every read gives an empty
// value.
class Reader {
 public:
  const Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }

  void Fail(const At& at, const std::string& what) {
    const int line = at.node == nullptr ? 1 : at.node->line;
    if (ok()) status_ = InvalidArgument("line " + std::to_string(line) + ": " + at.path + ": " + what);
  }

  At Child(const At& parent, const std::string& key, Need need) {
    At child{parent.node == nullptr ? nullptr : parent.node->Find(key),
             parent.path.empty() ? key : parent.path + "." + key};
    if (child.node != nullptr && child.node->kind == YamlNode::Kind::kNull && need == Need::kOptional)
      child.node = nullptr;
    if (child.node == nullptr && need == Need::kRequired)
      Fail({parent.node, child.path}, "is required and missing");
    return child;
  }
  At Map(const At& parent, const std::string& key, Need need) {
    return Expect(Child(parent, key, need), YamlNode::Kind::kMap);
  }
  std::vector<At> List(const At& parent, const std::string& key, Need need) {
    const At list = Expect(Child(parent, key, need), YamlNode::Kind::kSequence);
    std::vector<At> items;
    if (list.node == nullptr) return items;
    for (const YamlNode& item : list.node->items) {
      items.push_back({&item, list.path + "[" + std::to_string(items.size()) + "]"});
    }
    return items;
  }
  At Expect(At at, YamlNode::Kind kind) {
    if (at.node == nullptr || at.node->kind == kind) return at;
    Fail(at, "wanted " + std::string(KindName(kind)) + ", found " + std::string(KindName(at.node->kind)));
    at.node = nullptr;
    return at;
  }

  std::string Text(const At& at) {
    const At scalar = Expect(at, YamlNode::Kind::kScalar);
    return scalar.node == nullptr ? "" : scalar.node->scalar;
  }
  std::string Text(const At& parent, const std::string& key, Need need = Need::kOptional) {
    const At child = Child(parent, key, need);
    std::string text = Text(child);
    if (need == Need::kRequired && text.empty()) Fail(child, "is empty");
    return text;
  }

  // Whole number in [low, high].
  template <typename T>
  T Number(const At& at, T low, T high) {
    const At scalar = Expect(at, YamlNode::Kind::kScalar);
    if (scalar.node == nullptr) return low;
    const std::string& text = scalar.node->scalar;
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || scalar.node->quoted || value < low ||
        value > high) {
      Fail(at, "wanted a whole number from " + std::to_string(low) + " to " + std::to_string(high) +
                   ", found '" + Printable(text) + "'");
      return low;
    }
    return value;
  }
  double Quantity(const At& parent, const std::string& key, double fallback) {
    const At at = Expect(Child(parent, key, Need::kOptional), YamlNode::Kind::kScalar);
    if (at.node == nullptr) return fallback;
    const std::string& text = at.node->scalar;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || at.node->quoted ||
        !std::isfinite(value) || value < 0) {
      Fail(at, "wanted a number of at least 0, found '" + Printable(text) + "'");
      return fallback;
    }
    return value;
  }
  double Real(const At& at) {
    const At scalar = Expect(at, YamlNode::Kind::kScalar);
    if (scalar.node == nullptr) return 0;
    const std::string& text = scalar.node->scalar;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && !scalar.node->quoted &&
        std::isfinite(value))
      return value;
    Fail(at, "wanted a number, found '" + Printable(text) + "'");
    return 0;
  }
  bool Flag(const At& parent, const std::string& key) {
    const At at = Expect(Child(parent, key, Need::kOptional), YamlNode::Kind::kScalar);
    if (at.node == nullptr) return false;
    if (at.node->scalar == "true" && !at.node->quoted) return true;
    if (at.node->scalar != "false" || at.node->quoted)
      Fail(at, "wanted true or false, found '" + Printable(at.node->scalar) + "'");
    return false;
  }
  template <size_t N>
  std::string OneOf(const At& parent, const std::string& key, const std::array<std::string_view, N>& allowed,
                    std::string fallback) {
    const At at = Child(parent, key, Need::kOptional);
    if (at.node == nullptr) return fallback;
    std::string text = Text(at);
    if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return text;
    std::string list;
    for (const std::string_view word : allowed)
      list += (list.empty() ? "'" : ", '") + std::string(word) + "'";
    Fail(at, "'" + Printable(text) + "' is none of " + list);
    return fallback;
  }

 private:
  Status status_;
};

class ManifestParser {
 public:
  Result<Manifest> Parse(const YamlNode& document) {
    const At root = in_.Expect({&document, "manifest"}, YamlNode::Kind::kMap);
    if (root.node == nullptr) return in_.status();
    const At top{root.node, ""};
    ApiVersion(top);
    if (in_.ok()) Metadata(in_.Map(top, "metadata", Need::kRequired));
    if (in_.ok()) Spec(in_.Map(top, "spec", Need::kRequired));
    if (in_.ok()) Distribution(in_.Map(top, "distribution", Need::kOptional));
    if (!in_.ok()) return in_.status();
    return std::move(out_);
  }

 private:
  void ApiVersion(const At& top) {
    const At at = in_.Child(top, "apiVersion", Need::kRequired);
    out_.api_version = in_.Text(at);
    legacy_ = out_.api_version == kLegacyApiVersion;
    if (!legacy_ && out_.api_version != kApiVersion) {
      in_.Fail(at, "'" + Printable(out_.api_version) + "' is not known; this mlOS reads '" +
                       std::string(kApiVersion) + "'");
    }
    const At kind = in_.Child(top, "kind", Need::kRequired);
    out_.kind = in_.Text(kind);
    if (out_.kind != "Model") in_.Fail(kind, "wanted 'Model', found '" + Printable(out_.kind) + "'");
  }

  void Metadata(const At& at) {
    out_.namespace_ = in_.Text(at, "namespace", Need::kRequired);
    out_.name = in_.Text(at, "name", Need::kRequired);
    out_.version = in_.Text(at, "version", Need::kRequired);
    if (!in_.ok()) return;
    const auto ref = ParseModelRef(out_.namespace_ + "/" + out_.name + "@" + out_.version);
    if (!ref.ok()) return in_.Fail(at, ref.status().message());
    if (ref->namespace_ != out_.namespace_)
      return in_.Fail(in_.Child(at, "namespace", Need::kRequired), "holds a '/'");
    out_.revision = in_.Text(at, "revision");
    out_.description = in_.Text(at, "description");
    out_.license = in_.Text(at, "license");
    out_.homepage = in_.Text(at, "homepage");
    out_.created = in_.Text(at, "created");
    for (const At& tag : in_.List(at, "tags", Need::kOptional)) out_.tags.push_back(in_.Text(tag));
  }

  void Spec(const At& at) {
    const At framework = in_.Map(at, "framework", Need::kRequired);
    out_.framework_name = in_.Text(framework, "name", Need::kRequired);
    out_.framework_version = in_.Text(framework, "version");
    if (in_.ok()) Format(in_.Map(at, "format", Need::kRequired));
    const At io = in_.Map(at, "io", Need::kOptional);
    out_.inputs = Tensors(io, "inputs");
    out_.outputs = Tensors(io, "outputs");
    Text(in_.Map(at, "text", Need::kOptional));
    Image(in_.Map(at, "image", Need::kOptional));
    Serving(in_.Map(at, "serving", Need::kOptional));
    ConversionOf(in_.Map(at, "conversion", Need::kOptional));
    RequirementsOf(in_.Map(at, "requirements", Need::kOptional));
  }

  void Format(const At& at) {
    out_.format_type = in_.Text(at, "type", Need::kRequired);
    out_.execution_format = in_.Text(at, "execution_format");
    out_.files = Files(at, "files", Need::kRequired);
    if (in_.ok() && out_.files.empty()) in_.Fail(in_.Child(at, "files", Need::kRequired), "is empty");
    static constexpr std::array<std::string_view, 6> kTypes = {
        "single", "encoder", "decoder", "decoder_with_past", "text_encoder", "vision_encoder"};
    for (const At& item : in_.List(at, "execution_files", Need::kOptional)) {
      if (in_.Expect(item, YamlNode::Kind::kMap).node == nullptr) return;
      ExecutionFile file;
      file.path = PathInPackage(in_.Child(item, "path", Need::kRequired));
      file.format = in_.Text(item, "format", Need::kRequired);
      file.type = in_.OneOf(item, "type", kTypes, "single");
      if (!in_.ok()) return;
      out_.execution_files.push_back(std::move(file));
    }
  }

  // A path that, but for the original's manifests, must be one of spec.format.files.
  std::string PathInPackage(const At& at) {
    std::string path = in_.Text(at);
    if (!in_.ok()) return path;
    if (const Status status = CheckPackagePath(path); !status.ok()) in_.Fail(at, status.message());
    const bool listed = std::any_of(out_.files.begin(), out_.files.end(),
                                    [&](const PackageFile& f) { return f.path == path; });
    if (!listed && !legacy_) in_.Fail(at, "'" + Printable(path) + "' is not in spec.format.files");
    return path;
  }

  std::vector<PackageFile> Files(const At& parent, const std::string& key, Need need) {
    std::vector<PackageFile> files;
    std::vector<std::string> paths;
    for (const At& item : in_.List(parent, key, need)) {
      if (in_.Expect(item, YamlNode::Kind::kMap).node == nullptr) return {};
      files.push_back(FileOf(item));
      if (!in_.ok()) return {};
      paths.push_back(files.back().path);
    }
    if (const Status status = CheckPathsFitTogether(std::move(paths)); !status.ok()) {
      in_.Fail(in_.Child(parent, key, need), status.message());
    }
    return files;
  }

  PackageFile FileOf(const At& item) {
    PackageFile file;
    const At path = in_.Child(item, "path", Need::kRequired);
    file.path = in_.Text(path);
    if (in_.ok()) {
      if (const Status status = CheckPackagePath(file.path); !status.ok()) in_.Fail(path, status.message());
    }
    file.size_bytes = in_.Number<uint64_t>(in_.Child(item, "size", Need::kRequired), 0, kMaxFileBytes);
    const At sha = in_.Child(item, "sha256", Need::kRequired);
    file.sha256 = in_.Text(sha);
    std::transform(file.sha256.begin(), file.sha256.end(), file.sha256.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c; });
    if (!IsSha256Hex(file.sha256) && !(legacy_ && file.sha256.empty())) {
      in_.Fail(sha, "wanted 64 hexadecimal digits, found '" + Printable(file.sha256) + "'");
    }
    return file;
  }

  std::vector<TensorSpec> Tensors(const At& io, const std::string& key) {
    std::vector<TensorSpec> specs;
    std::set<std::string> names;
    for (const At& item : in_.List(io, key, Need::kOptional)) {
      if (in_.Expect(item, YamlNode::Kind::kMap).node == nullptr) return {};
      specs.push_back(Tensor(item));
      if (!in_.ok()) return {};
      if (!names.insert(specs.back().name).second) {
        in_.Fail(in_.Child(item, "name", Need::kRequired),
                 "'" + Printable(specs.back().name) + "' is there twice");
      }
    }
    return specs;
  }

  TensorSpec Tensor(const At& item) {
    TensorSpec spec;
    spec.name = in_.Text(item, "name", Need::kRequired);
    const At dtype = in_.Child(item, "dtype", Need::kRequired);
    const std::string dtype_name = in_.Text(dtype);
    spec.dtype = DTypeFromName(dtype_name).value_or(DType::kInvalid);
    if (spec.dtype == DType::kInvalid)
      in_.Fail(dtype, "'" + Printable(dtype_name) + "' is not a known element type");
    in_.Child(item, "shape", Need::kRequired);
    for (const At& dim : in_.List(item, "shape", Need::kRequired)) {
      spec.shape.push_back(in_.Number<int64_t>(dim, -1, std::numeric_limits<int64_t>::max()));
      if (spec.shape.size() > kMaxRank)
        in_.Fail(dim, "more than " + std::to_string(kMaxRank) + " dimensions");
      if (!in_.ok()) return spec;
    }
    for (const At& name : in_.List(item, "dims", Need::kOptional)) spec.dim_names.push_back(in_.Text(name));
    const At dims = in_.Child(item, "dims", Need::kOptional);
    if (dims.node != nullptr && spec.dim_names.size() != spec.shape.size()) {
      in_.Fail(dims, std::to_string(spec.dim_names.size()) + " names for " +
                         std::to_string(spec.shape.size()) + " dimensions");
    }
    spec.dim_names.resize(spec.shape.size());
    spec.optional = in_.Flag(item, "optional");
    spec.description = in_.Text(item, "description");
    return spec;
  }

  void Text(const At& at) {
    if (at.node == nullptr || !in_.ok()) return;
    static constexpr std::array<std::string_view, 4> kPoolings = {"", "mean", "cls", "max"};
    TextSpec text;
    text.tokenizer = PathInPackage(in_.Child(at, "tokenizer", Need::kRequired));
    const At max_length = in_.Child(at, "max_length", Need::kOptional);
    text.max_length = in_.Number<uint32_t>(max_length, 0, std::numeric_limits<uint32_t>::max());
    text.output = in_.Text(at, "output");
    text.pooling = in_.OneOf(at, "pooling", kPoolings, "");
    text.normalize = in_.Flag(at, "normalize");
    text.pooling_input = in_.Text(at, "pooling_input");
    out_.text = std::move(text);
  }

  void Serving(const At& at) {
    if (at.node == nullptr) return;
    ServingSpec serving;
    serving.isolation = in_.OneOf(at, "isolation", kIsolations, "");
    serving.batching = in_.OneOf(at, "batching", kBatchings, "");
    if (const At max = in_.Child(at, "max_batch", Need::kOptional); max.node != nullptr)
      serving.max_batch = in_.Number<uint32_t>(max, 0, kMaxServingBatch);
    out_.serving = std::move(serving);
  }

  void Image(const At& at) {
    if (at.node == nullptr || !in_.ok()) return;
    static constexpr std::array<std::string_view, 4> kResizes = {"", "exact", "shortest_edge", "number"};
    static constexpr std::array<std::string_view, 7> kResamples = {
        "", "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
    ImageSpec image;
    image.config = PathInPackage(in_.Child(at, "config", Need::kRequired));
    image.processor = in_.Text(at, "processor");
    image.resize = in_.OneOf(at, "resize", kResizes, "");
    image.size = Sides(at, "size");
    image.resample = in_.OneOf(at, "resample", kResamples, "");
    image.crop = Sides(at, "crop");
    image.rescale = in_.Quantity(at, "rescale", 0);
    for (const At& item : in_.List(at, "mean", Need::kOptional)) image.mean.push_back(in_.Real(item));
    for (const At& item : in_.List(at, "std", Need::kOptional)) image.std.push_back(in_.Real(item));
    out_.image = std::move(image);
  }

  // One or two numbers of pixels.
  std::vector<int64_t> Sides(const At& parent, const std::string& key) {
    constexpr int64_t kMaxSide = 1 << 20;
    std::vector<int64_t> sides;
    for (const At& item : in_.List(parent, key, Need::kOptional)) {
      if (sides.size() == 2) in_.Fail(item, "more than two numbers");
      sides.push_back(in_.Number<int64_t>(item, 1, kMaxSide));
      if (!in_.ok()) return {};
    }
    return sides;
  }

  void ConversionOf(const At& at) {
    if (at.node == nullptr || !in_.ok()) return;
    Conversion conversion;
    conversion.converter = in_.Text(at, "converter", Need::kRequired);
    conversion.version = in_.Text(at, "version");
    conversion.architecture = in_.Text(at, "architecture");
    conversion.task = in_.Text(at, "task");
    conversion.sources = Files(at, "sources", Need::kOptional);
    const At graph = in_.Child(at, "graph_sha256", Need::kOptional);
    conversion.graph_sha256 = in_.Text(graph);
    if (!conversion.graph_sha256.empty() && !IsSha256Hex(conversion.graph_sha256)) {
      in_.Fail(graph,
               "wanted 64 lower-case hexadecimal digits, found '" + Printable(conversion.graph_sha256) + "'");
    }
    conversion.verified = in_.Flag(at, "verified");
    conversion.quantization = in_.Text(at, "quantization");
    conversion.quantization_max_abs = in_.Quantity(at, "quantization_max_abs", 0);
    conversion.quantization_cosine = in_.Quantity(at, "quantization_cosine", 0);
    out_.conversion = std::move(conversion);
  }

  void RequirementsOf(const At& at) {
    const At compute = in_.Map(at, "compute", Need::kOptional);
    const At cpu = in_.Map(compute, "cpu", Need::kOptional);
    const At memory = in_.Map(compute, "memory", Need::kOptional);
    const At storage = in_.Map(at, "storage", Need::kOptional);
    Requirements& r = out_.requirements;
    r.cpu_min_cores = in_.Quantity(cpu, "min_cores", r.cpu_min_cores);
    r.cpu_recommended_cores = in_.Quantity(cpu, "recommended_cores", r.cpu_recommended_cores);
    r.memory_min_gb = in_.Quantity(memory, "min_gb", r.memory_min_gb);
    r.memory_recommended_gb = in_.Quantity(memory, "recommended_gb", r.memory_recommended_gb);
    r.storage_min_gb = in_.Quantity(storage, "min_gb", r.storage_min_gb);
  }

  void Distribution(const At& at) {
    const At url = in_.Child(in_.Map(at, "package", Need::kOptional), "url", Need::kOptional);
    out_.source_url = in_.Text(url);
    const size_t authority = out_.source_url.find("://");
    if (authority != std::string::npos) {
      const std::string host = out_.source_url.substr(
          authority + 3, out_.source_url.find_first_of("/?#", authority + 3) - authority - 3);
      if (host.find('@') != std::string::npos) in_.Fail(url, "must not hold a user name or password");
    }
    out_.registry = in_.Text(in_.Map(at, "registry", Need::kOptional), "namespace");
  }

  Reader in_;
  Manifest out_;
  bool legacy_ = false;
};

}  // namespace

namespace {

template <size_t N>
Status WantOneOf(const std::string& key, const std::string& text,
                 const std::array<std::string_view, N>& allowed) {
  if (text.empty() || std::ranges::find(allowed, text) != allowed.end()) return OkStatus();
  std::string list;
  for (const std::string_view word : allowed) list += (list.empty() ? "" : ", ") + std::string(word);
  return InvalidArgument(key + " '" + Printable(text) + "' is unknown, wanted one of: " + list);
}

}  // namespace

const PackageFile* FindFile(std::span<const PackageFile> files, std::string_view path) {
  const auto it = std::ranges::find(files, path, &PackageFile::path);
  return it == files.end() ? nullptr : &*it;
}

Status CheckServing(const ServingSpec& serving) {
  MLOS_RETURN_IF_ERROR(WantOneOf("isolation", serving.isolation, kIsolations));
  MLOS_RETURN_IF_ERROR(WantOneOf("batching", serving.batching, kBatchings));
  if (serving.max_batch <= kMaxServingBatch) return OkStatus();
  return InvalidArgument("max_batch " + std::to_string(serving.max_batch) + ": wanted at most " +
                         std::to_string(kMaxServingBatch) + " rows");
}

Result<Manifest> ParseManifest(std::string_view yaml) {
  MLOS_ASSIGN_OR_RETURN(const YamlNode document, ParseYaml(yaml));
  return ManifestParser().Parse(document);
}

Result<Manifest> ReadManifest(const std::filesystem::path& file) {
  MLOS_ASSIGN_OR_RETURN(const std::string yaml, os::ReadFile(file, kMaxManifestBytes));
  auto manifest = ParseManifest(yaml);
  if (!manifest.ok()) return manifest.status().WithContext(file.string());
  return manifest;
}

}  // namespace mlos::package
