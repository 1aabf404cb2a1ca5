// SPDX-License-Identifier: Apache-2.0
#include "axon/convert_report.h"

#include <cstdio>

#include "axon/format.h"
#include "axon/package_json.h"
#include "convert/architectures.h"
#include "infer/model_interface.h"
#include "os/errors.h"

namespace mlos::axon {
namespace {

std::string Milliseconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f ms", ms);
  return text;
}

std::string Joined(const std::vector<std::string>& words, const char* none) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + Plain(word);
  return out.empty() ? none : out;
}

void WriteStrings(const std::vector<std::string>& words, JsonWriter* json) {
  json->BeginArray();
  for (const std::string& word : words) json->String(word);
  json->EndArray();
}

std::string SpecLines(const char* title, const std::vector<TensorSpec>& specs) {
  std::string out = std::string("  ") + title + "\n";
  for (const TensorSpec& spec : specs) out += "    " + Plain(spec.name) + "  " + SpecToString(spec) + "\n";
  return out;
}

}  // namespace

std::string ExplainText(const ConvertReport& report) {
  const convert::ConvertResult& result = report.result;
  std::string out = "architecture  " + result.architecture + "\n";
  out += "task          " + result.task + "\n";
  out +=
      "other tasks   " + Joined(report.other_tasks, "none that this checkpoint has the tensors for") + "\n";
  out += "parameters    " + std::to_string(result.parameter_count) + "\n";
  if (result.max_length > 0) out += "max. tokens   " + std::to_string(result.max_length) + "\n";
  out += "weights in    " + Joined(result.source_files, "none") + "\n";
  out += "copied        " +
         (report.side_car_bytes == 0
              ? std::string("nothing")
              : os::FormatBytes(report.side_car_bytes) + " into " + result.side_car_file + " (" +
                    Plural(result.side_car.size(), "tensor") + " that cannot be mapped where they lie)") +
         "\n";
  for (const convert::ConvertedGraph& graph : result.graphs) {
    out += graph.file + "  " + graph.type + ", " + os::FormatBytes(graph.onnx.size()) + "\n";
    out += SpecLines("inputs", graph.inputs) + SpecLines("outputs", graph.outputs);
  }
  out += "used: " + Plural(result.used_tensors.size(), "tensor") + "\n";
  for (const std::string& name : result.used_tensors) out += "  " + Plain(name) + "\n";
  out += "ignored: " + Plural(result.ignored_tensors.size(), "tensor") + "\n";
  for (const std::string& name : result.ignored_tensors) out += "  " + Plain(name) + "\n";
  return out + "built in " + Milliseconds(report.convert_ms) + "\n";
}

std::string ConvertedText(const ConvertReport& report) {
  const convert::ConvertResult& result = report.result;
  std::string out = "converted " + result.architecture + " (" + result.task + ") in " +
                    Milliseconds(report.convert_ms) + "\n";
  for (const convert::ConvertedGraph& graph : result.graphs)
    out += report.folder + "/" + graph.file + "  " + os::FormatBytes(graph.onnx.size()) + "\n";
  if (report.side_car_bytes > 0)
    out += report.folder + "/" + result.side_car_file + "  " + os::FormatBytes(report.side_car_bytes) + "\n";
  out += "weights stay in " + Joined(result.source_files, "no file");
  if (!report.copied.empty())
    out += ", copied with the small files beside them (" + os::FormatBytes(report.copied_bytes) + ")";
  out += "\n";
  if (result.int8_tensors > 0)
    out += std::to_string(result.int8_tensors) + (result.int8_tensors == 1 ? " matrix" : " matrices") +
           " in int8; " + report.int8 + "\n";
  if (!report.check.empty()) out += report.check + "\n";
  return out;
}

void WriteConvertJson(const ConvertReport& report, JsonWriter* json) {
  const convert::ConvertResult& result = report.result;
  json->BeginObject().Key("architecture").String(result.architecture).Key("task").String(result.task);
  json->Key("folder").String(report.folder);
  json->Key("parameters").Uint(result.parameter_count).Key("max_length").Uint(result.max_length);
  json->Key("other_tasks");
  WriteStrings(report.other_tasks, json);
  json->Key("source_files");
  WriteStrings(result.source_files, json);
  json->Key("graphs").BeginArray();
  for (const convert::ConvertedGraph& graph : result.graphs) {
    json->BeginObject().Key("file").String(graph.file).Key("type").String(graph.type);
    json->Key("size_bytes").Uint(graph.onnx.size()).Key("inputs");
    WriteTensorSpecs(graph.inputs, json);
    json->Key("outputs");
    WriteTensorSpecs(graph.outputs, json);
    json->EndObject();
  }
  json->EndArray().Key("used_tensors");
  WriteStrings(result.used_tensors, json);
  json->Key("ignored_tensors");
  WriteStrings(result.ignored_tensors, json);
  json->Key("side_car_bytes").Uint(report.side_car_bytes).Key("copied_bytes").Uint(report.copied_bytes);
  json->Key("check").String(report.check).Key("int8_tensors").Uint(result.int8_tensors);
  if (result.int8_tensors > 0)
    json->Key("int8_max_abs").Double(report.int8_max_abs).Key("int8_cosine").Double(report.int8_cosine);
  json->Key("convert_ms").Double(report.convert_ms).EndObject();
}

std::string ArchitecturesText() {
  std::vector<std::vector<std::string>> rows = {{"ARCHITECTURE", "WITHOUT CONFIG", "TASKS"}};
  for (const convert::Architecture* architecture : convert::Architectures()) {
    std::string tasks;
    for (const std::string_view task : convert::TasksOf(*architecture))
      tasks += (tasks.empty() ? "" : ", ") + std::string(task);
    rows.push_back(
        {std::string(architecture->name), architecture->recognises == nullptr ? "" : "yes", tasks});
  }
  return Table(rows);
}

void WriteArchitecturesJson(JsonWriter* json) {
  json->BeginArray();
  for (const convert::Architecture* architecture : convert::Architectures()) {
    json->BeginObject().Key("architecture").String(architecture->name);
    json->Key("without_config").Bool(architecture->recognises != nullptr).Key("tasks").BeginArray();
    for (const std::string_view task : convert::TasksOf(*architecture)) json->String(task);
    json->EndArray().Key("classes").BeginArray();
    for (const auto& [class_name, head] : architecture->classes) json->String(class_name);
    json->EndArray().EndObject();
  }
  json->EndArray();
}

}  // namespace mlos::axon
