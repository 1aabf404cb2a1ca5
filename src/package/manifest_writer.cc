// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "package/manifest.h"
#include "package/path.h"

namespace mlos::package {
namespace {

// Byte sequences that YAML readers take for line breaks, marks or errors, and what to write instead.
struct Special {
  std::string_view bytes;
  std::string_view escape;
};
constexpr std::array<Special, 5> kSpecials = {{{"\xE2\x80\xA8", "\\u2028"},
                                               {"\xE2\x80\xA9", "\\u2029"},
                                               {"\xEF\xBB\xBF", "\\uFEFF"},
                                               {"\xEF\xBF\xBE", "\\uFFFE"},
                                               {"\xEF\xBF\xBF", "\\uFFFF"}}};

bool IsPlainSafe(std::string_view text) {
  // Words that YAML 1.1 or 1.2 readers take for something else than text.
  static constexpr std::array<std::string_view, 9> kWords = {"null", "true", "false", "yes", "no",
                                                             "on",   "off",  "y",     "n"};
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_safe = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '/' || c == '-';
  };
  if (text.empty() || !is_letter(text.front()) || !std::all_of(text.begin(), text.end(), is_safe))
    return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
}

// Length of the valid UTF-8 character that starts the text, 0 when it starts with none.
size_t Utf8Length(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(4, text.size()); ++size) {
    if (IsUtf8(text.substr(0, size))) return size;
  }
  return 0;
}

std::string EscapeCharacter(std::string_view character) {
  if (character == "\"") return "\\\"";
  if (character == "\\") return "\\\\";
  if (character == "\n") return "\\n";
  if (character == "\t") return "\\t";
  unsigned code = static_cast<unsigned char>(character[0]);
  if (character.size() == 2) code = ((code & 0x1F) << 6) | (static_cast<unsigned char>(character[1]) & 0x3F);
  if (code < 0x20 || (character.size() <= 2 && code >= 0x7F && code < 0xA0)) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "\\x%02X", code);
    return hex;
  }
  for (const Special& special : kSpecials) {
    if (character == special.bytes) return std::string(special.escape);
  }
  return std::string(character);
}

std::string Quote(std::string_view text) {
  if (IsPlainSafe(text)) return std::string(text);
  std::string out = "\"";
  while (!text.empty()) {
    const size_t size = Utf8Length(text);
    out += size == 0 ? "\xEF\xBF\xBD" : EscapeCharacter(text.substr(0, size));
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out + "\"";
}

std::string FormatDouble(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

template <typename Items, typename Format>
std::string FlowList(const Items& items, Format format) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() == 1 ? "" : ", ") + format(item);
  return out + "]";
}

// Indented "key: value" lines.
class Writer {
 public:
  std::string Take() && { return std::move(out_); }

  void Open(std::string_view key) {
    Line(std::string(key) + ":");
    ++level_;
  }
  void Close() { --level_; }
  void Raw(std::string_view key, const std::string& value) { Line(std::string(key) + ": " + value); }
  void Text(std::string_view key, std::string_view value) { Raw(key, Quote(value)); }
  void TextIfAny(std::string_view key, std::string_view value) {
    if (!value.empty()) Text(key, value);
  }
  // The next line starts an item of a list: "- key: value"; the lines after it are aligned with it until
  // EndItem.
  void BeginItem() {
    ++level_;
    first_of_item_ = true;
  }
  void EndItem() { --level_; }

 private:
  void Line(const std::string& text) {
    const size_t indent = static_cast<size_t>(level_) * 2;
    if (first_of_item_) {
      out_ += std::string(indent - 2, ' ') + "- ";
    } else {
      out_ += std::string(indent, ' ');
    }
    first_of_item_ = false;
    out_ += text + "\n";
  }

  std::string out_;
  int level_ = 0;
  bool first_of_item_ = false;
};

void WriteFiles(Writer& w, std::string_view key, const std::vector<PackageFile>& files) {
  if (files.empty()) return w.Raw(key, "[]");
  w.Open(key);
  for (const PackageFile& file : files) {
    w.BeginItem();
    w.Text("path", file.path);
    w.Raw("size", std::to_string(file.size_bytes));
    w.Text("sha256", file.sha256);
    w.EndItem();
  }
  w.Close();
}

void WriteTensors(Writer& w, std::string_view key, const std::vector<TensorSpec>& specs) {
  if (specs.empty()) return w.Raw(key, "[]");
  w.Open(key);
  for (const TensorSpec& spec : specs) {
    w.BeginItem();
    w.Text("name", spec.name);
    w.Text("dtype", DTypeManifestName(spec.dtype));
    w.Raw("shape", FlowList(spec.shape, [](int64_t dim) { return std::to_string(dim); }));
    const bool named = std::any_of(spec.dim_names.begin(), spec.dim_names.end(),
                                   [](const std::string& n) { return !n.empty(); });
    if (named) w.Raw("dims", FlowList(spec.dim_names, [](const std::string& n) { return Quote(n); }));
    if (spec.optional) w.Raw("optional", "true");
    w.TextIfAny("description", spec.description);
    w.EndItem();
  }
  w.Close();
}

void WriteMetadata(Writer& w, const Manifest& m) {
  w.Open("metadata");
  w.Text("namespace", m.namespace_);
  w.Text("name", m.name);
  w.Text("version", m.version);
  w.TextIfAny("revision", m.revision);
  w.TextIfAny("description", m.description);
  w.TextIfAny("license", m.license);
  w.TextIfAny("homepage", m.homepage);
  w.TextIfAny("created", m.created);
  if (!m.tags.empty()) w.Raw("tags", FlowList(m.tags, [](const std::string& tag) { return Quote(tag); }));
  w.Close();
}

void WriteFormat(Writer& w, const Manifest& m) {
  w.Open("format");
  w.Text("type", m.format_type);
  w.Text("execution_format", m.execution_format);
  WriteFiles(w, "files", m.files);
  if (!m.execution_files.empty()) {
    w.Open("execution_files");
    for (const ExecutionFile& file : m.execution_files) {
      w.BeginItem();
      w.Text("path", file.path);
      w.Text("format", file.format);
      w.Text("type", file.type);
      w.EndItem();
    }
    w.Close();
  }
  w.Close();
}

void WriteText(Writer& w, const TextSpec& text) {
  w.Open("text");
  w.Text("tokenizer", text.tokenizer);
  w.Raw("max_length", std::to_string(text.max_length));
  w.TextIfAny("output", text.output);
  w.TextIfAny("pooling", text.pooling);
  w.Raw("normalize", text.normalize ? "true" : "false");
  w.TextIfAny("pooling_input", text.pooling_input);
  w.Close();
}

void WriteImage(Writer& w, const ImageSpec& image) {
  const auto sides = [&](std::string_view key, const std::vector<int64_t>& values) {
    if (!values.empty()) w.Raw(key, FlowList(values, [](int64_t side) { return std::to_string(side); }));
  };
  const auto numbers = [&](std::string_view key, const std::vector<double>& values) {
    if (!values.empty()) w.Raw(key, FlowList(values, FormatDouble));
  };
  w.Open("image");
  w.Text("config", image.config);
  w.TextIfAny("processor", image.processor);
  w.TextIfAny("resize", image.resize);
  sides("size", image.size);
  w.TextIfAny("resample", image.resample);
  sides("crop", image.crop);
  if (image.rescale != 0) w.Raw("rescale", FormatDouble(image.rescale));
  numbers("mean", image.mean);
  numbers("std", image.std);
  w.Close();
}

void WriteServing(Writer& w, const ServingSpec& serving) {
  if (serving == ServingSpec()) return w.Raw("serving", "{}");
  w.Open("serving");
  w.TextIfAny("isolation", serving.isolation);
  w.TextIfAny("batching", serving.batching);
  if (serving.max_batch != 0) w.Raw("max_batch", std::to_string(serving.max_batch));
  w.Close();
}

void WriteConversion(Writer& w, const Conversion& conversion) {
  w.Open("conversion");
  w.Text("converter", conversion.converter);
  w.TextIfAny("version", conversion.version);
  w.TextIfAny("architecture", conversion.architecture);
  w.TextIfAny("task", conversion.task);
  if (!conversion.sources.empty()) WriteFiles(w, "sources", conversion.sources);
  w.TextIfAny("graph_sha256", conversion.graph_sha256);
  if (conversion.verified) w.Raw("verified", "true");
  if (!conversion.quantization.empty()) {
    w.Text("quantization", conversion.quantization);
    w.Raw("quantization_max_abs", FormatDouble(conversion.quantization_max_abs));
    w.Raw("quantization_cosine", FormatDouble(conversion.quantization_cosine));
  }
  w.Close();
}

void WriteRequirements(Writer& w, const Requirements& r) {
  w.Open("requirements");
  w.Open("compute");
  w.Open("cpu");
  w.Raw("min_cores", FormatDouble(r.cpu_min_cores));
  w.Raw("recommended_cores", FormatDouble(r.cpu_recommended_cores));
  w.Close();
  w.Open("memory");
  w.Raw("min_gb", FormatDouble(r.memory_min_gb));
  w.Raw("recommended_gb", FormatDouble(r.memory_recommended_gb));
  w.Close();
  w.Close();
  w.Open("storage");
  w.Raw("min_gb", FormatDouble(r.storage_min_gb));
  w.Close();
  w.Close();
}

void WriteSpec(Writer& w, const Manifest& m) {
  w.Open("spec");
  w.Open("framework");
  w.Text("name", m.framework_name);
  w.TextIfAny("version", m.framework_version);
  w.Close();
  WriteFormat(w, m);
  w.Open("io");
  WriteTensors(w, "inputs", m.inputs);
  WriteTensors(w, "outputs", m.outputs);
  w.Close();
  if (m.text) WriteText(w, *m.text);
  if (m.image) WriteImage(w, *m.image);
  if (m.serving) WriteServing(w, *m.serving);
  if (m.conversion) WriteConversion(w, *m.conversion);
  WriteRequirements(w, m.requirements);
  w.Close();
}

}  // namespace

std::string WriteManifest(const Manifest& m) {
  Writer w;
  w.Text("apiVersion", m.api_version);
  w.Text("kind", m.kind);
  WriteMetadata(w, m);
  WriteSpec(w, m);
  if (!m.source_url.empty() || !m.registry.empty()) {
    w.Open("distribution");
    if (!m.source_url.empty()) {
      w.Open("package");
      w.Text("url", m.source_url);
      w.Close();
    }
    if (!m.registry.empty()) {
      w.Open("registry");
      w.Text("namespace", m.registry);
      w.Close();
    }
    w.Close();
  }
  return std::move(w).Take();
}

}  // namespace mlos::package
