// SPDX-License-Identifier: Apache-2.0
#include "axon/registration.h"

#include <filesystem>

#include "axon/format.h"
#include "base/checked.h"
#include "base/json_writer.h"

namespace mlos::axon {
namespace {

constexpr int64_t kMaxExampleValues = 64;

// Elements with every free dimension 1; nothing when they are too many.
std::optional<int64_t> ExampleElements(const TensorSpec& spec) {
  int64_t elements = 1;
  for (const int64_t dim : spec.shape) {
    const std::optional<int64_t> product = CheckedMul(elements, dim < 0 ? int64_t{1} : dim);
    if (!product || *product > kMaxExampleValues) return std::nullopt;
    elements = *product;
  }
  return elements;
}

// A cache with nothing in it.
void WriteEmptyPast(const TensorSpec& spec, JsonWriter* json) {
  json->Key(spec.name).BeginObject().Key("shape").BeginArray();
  for (size_t i = 0; i < spec.shape.size(); ++i)
    json->Int(spec.shape[i] >= 0 ? spec.shape[i] : i == 0 ? 1 : 0);
  json->EndArray().Key("data").BeginArray().EndArray().EndObject();
}

bool WriteExample(const TensorSpec& spec, JsonWriter* json) {
  if (spec.name.starts_with("past_key_values.")) {
    WriteEmptyPast(spec, json);
    return true;
  }
  const std::optional<int64_t> elements = ExampleElements(spec);
  if (!elements) return false;
  // Token ids are not zero, and a sentence has more than one of them.
  const bool free = elements == 1 && !spec.shape.empty();
  json->Key(spec.name).BeginArray();
  for (int64_t i = 0; i < (free ? 3 : *elements); ++i) {
    if (spec.dtype == DType::kBool) {
      json->Bool(true);
    } else if (spec.dtype == DType::kBytes) {
      json->String("a");
    } else {
      json->Int(1);
    }
  }
  json->EndArray();
  return true;
}

}  // namespace

std::vector<Served> ServedParts(const package::InstalledPackage& package) {
  const auto& files = package.manifest.execution_files;
  if (files.size() < 2) return {{package.ref.ToString(), package.dir.string(), "single"}};
  std::vector<Served> parts;
  for (const package::ExecutionFile& file : files) {
    package::ModelRef ref = package.ref;
    ref.name += "/" + std::filesystem::path(file.path).stem().string();
    parts.push_back({ref.ToString(), (package.dir / file.path).string(), file.type});
  }
  return parts;
}

Result<client::ModelInfo> RegisterPart(const client::CoreClient& core,
                                       const package::InstalledPackage& package, const Served& part,
                                       const package::ServingSpec& serving) {
  client::RegisterModel model;
  model.model_id = part.id;
  model.name = package.manifest.name;
  model.framework = package.manifest.framework_name;
  model.execution_format = package.manifest.execution_format;
  model.path = part.path;
  model.description = package.manifest.description;
  model.manifest_path = (package.dir / "manifest.yaml").string();
  // A graph that is served by its file's path is served without a look at the manifest.
  const package::ServingSpec said = package.manifest.serving.value_or(package::ServingSpec());
  const bool add = part.type != "single";
  model.isolation = add && serving.isolation.empty() ? said.isolation : serving.isolation;
  model.batching = add && serving.batching.empty() ? said.batching : serving.batching;
  model.max_batch = add && serving.max_batch == 0 ? said.max_batch : serving.max_batch;
  return core.Register(model);
}

Result<client::ModelInfo> RegisterPackage(const client::CoreClient& core,
                                          const package::InstalledPackage& package) {
  const std::vector<Served> parts = ServedParts(package);
  if (parts.size() == 1) return RegisterPart(core, package, parts.front());
  std::string names;
  for (const Served& part : parts) names += (names.empty() ? "" : ", ") + part.id;
  return Unimplemented("the model is made of several graphs, which are served one by one: `axon register " +
                       package.ref.ToString() + "`, then ask " + names);
}

std::string ExampleBody(const package::Manifest& manifest) {
  if (manifest.execution_format == "gguf" && manifest.inputs.empty()) {
    return R"({"prompt": "Once upon a time", "max_tokens": 32})";
  }
  if (manifest.text) return R"({"inputs": "a sentence"})";
  JsonWriter json;
  json.BeginObject();
  for (const TensorSpec& spec : manifest.inputs) {
    if (!spec.optional && !WriteExample(spec, &json)) return "";
  }
  json.EndObject();
  return std::move(json).Take();
}

std::string CurlLine(const std::string& endpoint, const package::InstalledPackage& package,
                     const std::string& id) {
  const std::string body = ExampleBody(package.manifest);
  const std::string data = body.empty() ? "@input.json" : ShellQuote(body);
  return "curl -X POST " + endpoint + client::ModelPath(id) +
         "/inference -H 'Content-Type: application/json' -d " + data;
}

}  // namespace mlos::axon
