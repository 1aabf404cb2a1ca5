// SPDX-License-Identifier: Apache-2.0
#include "axon/package_json.h"

namespace mlos::axon {
namespace {

void WriteFields(const package::InstalledPackage& package, JsonWriter* json) {
  json->Key("ref").String(package.ref.ToString());
  json->Key("namespace").String(package.ref.namespace_).Key("name").String(package.ref.name);
  json->Key("revision").String(package.ref.revision).Key("commit").String(package.manifest.revision);
  json->Key("format").String(package.manifest.execution_format);
  json->Key("size_bytes").Uint(package.size_bytes).Key("path").String(package.dir.string());
  json->Key("created").String(package.manifest.created);
  if (!package.problem.empty()) json->Key("problem").String(package.problem);
}

void WriteFile(const package::PackageFile& file, JsonWriter* json) {
  json->BeginObject().Key("path").String(file.path).Key("size_bytes").Uint(file.size_bytes);
  json->Key("sha256").String(file.sha256).EndObject();
}

void WriteText(const package::TextSpec& text, JsonWriter* json) {
  json->BeginObject().Key("tokenizer").String(text.tokenizer).Key("max_length").Uint(text.max_length);
  json->Key("output").String(text.output).Key("pooling").String(text.pooling);
  json->Key("normalize").Bool(text.normalize).EndObject();
}

}  // namespace

void WriteTensorSpecs(const std::vector<TensorSpec>& specs, JsonWriter* json) {
  json->BeginArray();
  for (const TensorSpec& spec : specs) {
    json->BeginObject().Key("name").String(spec.name).Key("datatype").String(DTypeName(spec.dtype));
    json->Key("shape").BeginArray();
    for (const int64_t dim : spec.shape) json->Int(dim);
    json->EndArray();
    json->Key("dim_names").BeginArray();
    for (const std::string& name : spec.dim_names) json->String(name);
    json->EndArray();
    json->Key("optional").Bool(spec.optional).EndObject();
  }
  json->EndArray();
}

void WritePackage(const package::InstalledPackage& package, JsonWriter* json) {
  json->BeginObject();
  WriteFields(package, json);
  json->EndObject();
}

void WritePackageDetails(const package::InstalledPackage& package, JsonWriter* json) {
  const package::Manifest& manifest = package.manifest;
  json->BeginObject();
  WriteFields(package, json);
  json->Key("description").String(manifest.description).Key("license").String(manifest.license);
  json->Key("framework")
      .String(manifest.framework_name)
      .Key("framework_version")
      .String(manifest.framework_version);
  json->Key("source_format").String(manifest.format_type).Key("source_url").String(manifest.source_url);
  json->Key("registry").String(manifest.registry);
  json->Key("execution_files").BeginArray();
  for (const package::ExecutionFile& file : manifest.execution_files) {
    json->BeginObject()
        .Key("path")
        .String(file.path)
        .Key("format")
        .String(file.format)
        .Key("type")
        .String(file.type)
        .EndObject();
  }
  json->EndArray();
  json->Key("files").BeginArray();
  for (const package::PackageFile& file : manifest.files) WriteFile(file, json);
  json->EndArray();
  json->Key("inputs");
  WriteTensorSpecs(manifest.inputs, json);
  json->Key("outputs");
  WriteTensorSpecs(manifest.outputs, json);
  if (manifest.text) {
    json->Key("text");
    WriteText(*manifest.text, json);
  }
  if (manifest.conversion) {
    json->Key("conversion").BeginObject().Key("converter").String(manifest.conversion->converter);
    json->Key("version").String(manifest.conversion->version);
    json->Key("architecture").String(manifest.conversion->architecture);
    json->Key("task").String(manifest.conversion->task).Key("verified").Bool(manifest.conversion->verified);
    json->Key("quantization").String(manifest.conversion->quantization).EndObject();
  }
  json->EndObject();
}

}  // namespace mlos::axon
