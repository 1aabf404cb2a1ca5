// SPDX-License-Identifier: Apache-2.0
#include "check/check.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "check/canned_inputs.h"
#include "check/sample_inputs.h"
#include "convert/safetensors.h"
#include "os/file.h"
#include "os/mapped_file.h"

namespace mlos::check {
namespace {

using Clock = std::chrono::steady_clock;

double MsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Outcome {
  std::mutex mu;
  std::condition_variable done;
  bool is_done = false;
  Status status;
  Response response;
};

class WaitingSink final : public ResponseSink {
 public:
  explicit WaitingSink(std::shared_ptr<Outcome> outcome) : outcome_(std::move(outcome)) {}
  void OnDone(Status status, Response response) override {
    const std::lock_guard lock(outcome_->mu);
    outcome_->status = std::move(status);
    outcome_->response = std::move(response);
    outcome_->is_done = true;
    outcome_->done.notify_all();
  }

 private:
  const std::shared_ptr<Outcome> outcome_;
};

Result<Response> Run(plugin::Instance& instance, std::vector<NamedTensor> inputs) {
  auto outcome = std::make_shared<Outcome>();
  Request request;
  request.inputs = std::move(inputs);
  instance.Run(std::move(request), std::make_unique<WaitingSink>(outcome));
  std::unique_lock lock(outcome->mu);
  outcome->done.wait(lock, [&] { return outcome->is_done; });
  if (!outcome->status.ok()) return outcome->status;
  return std::move(outcome->response);
}

// The values of a floating-point tensor; nothing for others.
std::vector<float> Floats(DType dtype, std::span<const std::byte> bytes) {
  std::vector<float> values;
  const auto each = [&]<typename T>(T, auto convert) {
    values.reserve(bytes.size() / sizeof(T));
    for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T value;
      std::memcpy(&value, bytes.data() + at, sizeof(T));
      values.push_back(convert(value));
    }
  };
  if (dtype == DType::kFp32) each(0.0F, [](float value) { return value; });
  if (dtype == DType::kFp64) each(0.0, [](double value) { return static_cast<float>(value); });
  if (dtype == DType::kFp16) each(uint16_t{0}, HalfToFloat);
  if (dtype == DType::kBf16) each(uint16_t{0}, Bf16ToFloat);
  return values;
}

// Shapes and dtypes were checked against the interface by the host of the plugin.
Status CheckFinite(const Response& response) {
  for (const NamedTensor& output : response.outputs) {
    const std::vector<float> values = Floats(output.tensor.dtype(), output.tensor.data());
    const auto bad =
        std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    if (bad != values.end()) {
      return DataLoss("output '" + output.name + "' has a value that is no finite number at element " +
                      std::to_string(bad - values.begin()) + " of " + std::to_string(values.size()));
    }
  }
  return OkStatus();
}

struct GoldenCase {
  std::vector<NamedTensor> inputs;
  std::map<std::string, Tensor> outputs;
  std::set<int64_t> open_rows;
};

struct Golden {
  std::map<std::string, GoldenCase> cases;
  double tolerance = kDefaultTolerance;
};

Result<Golden> ReadGolden(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile file, os::MappedFile::Open(path));
  MLOS_ASSIGN_OR_RETURN(const convert::SafetensorsHeader header, convert::ParseSafetensors(file.bytes()));
  Golden golden;
  if (const auto tolerance = header.metadata.find("tolerance"); tolerance != header.metadata.end()) {
    golden.tolerance = std::strtod(tolerance->second.c_str(), nullptr);
    if (!(golden.tolerance > 0 && golden.tolerance <= 0.1))
      return DataLoss(path.filename().string() + ": tolerance '" + tolerance->second +
                      "' is no number up to 0.1");
  }
  for (const convert::TensorEntry& entry : header.tensors) {
    const auto bytes = file.bytes().subspan(entry.offset, entry.size_bytes);
    const size_t slash = std::min(entry.name.find('/'), entry.name.size());
    GoldenCase& into = golden.cases[entry.name.substr(0, slash)];
    const std::string rest = slash < entry.name.size() ? entry.name.substr(slash + 1) : "";
    MLOS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Copy(entry.dtype, entry.shape, bytes));
    if (rest.starts_with("in/")) {
      into.inputs.push_back({rest.substr(3), std::move(tensor)});
    } else if (rest.starts_with("out/")) {
      into.outputs.emplace(rest.substr(4), std::move(tensor));
    } else if (rest == "finite_only" && entry.dtype == DType::kInt64) {
      for (const int64_t row : tensor.As<int64_t>()) into.open_rows.insert(row);
    } else {
      return DataLoss(path.filename().string() + ": tensor '" + entry.name +
                      "' is nothing that answers consist of");
    }
  }
  return golden;
}

// Largest difference, as a part of the largest value wanted.
Result<double> Compare(const std::string& name, const Tensor& wanted, const Tensor& got,
                       const std::set<int64_t>& open) {
  if (wanted.shape() != got.shape()) {
    return DataLoss("output '" + name + "' has shape " + ShapeToString(got.shape()) + ", its golden answer " +
                    ShapeToString(wanted.shape()));
  }
  const std::vector<float> a = Floats(wanted.dtype(), wanted.data());
  const std::vector<float> b = Floats(got.dtype(), got.data());
  const size_t rows =
      wanted.shape().empty() ? 1 : static_cast<size_t>(std::max<int64_t>(wanted.shape().front(), 1));
  const size_t row_values = std::max<size_t>(a.size() / rows, 1);
  double largest = 1;
  double worst = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(a[i])));
    if (!open.contains(static_cast<int64_t>(i / row_values)))
      worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst / largest;
}

Status CheckGolden(plugin::Instance& instance, const std::filesystem::path& path, FileReport* report) {
  MLOS_ASSIGN_OR_RETURN(Golden golden, ReadGolden(path));
  for (auto& [name, golden_case] : golden.cases) {
    Result<Response> response = Run(instance, std::move(golden_case.inputs));
    if (!response.ok()) return response.status().WithContext("golden case '" + name + "'");
    MLOS_RETURN_IF_ERROR(CheckFinite(*response).WithContext("golden case '" + name + "'"));
    for (const auto& [output, wanted] : golden_case.outputs) {
      const auto got = std::find_if(response->outputs.begin(), response->outputs.end(),
                                    [&](const NamedTensor& tensor) { return tensor.name == output; });
      if (got == response->outputs.end())
        return DataLoss("golden case '" + name + "': the model has no output '" + output + "'");
      MLOS_ASSIGN_OR_RETURN(const double difference,
                            Compare(output, wanted, got->tensor, golden_case.open_rows));
      report->worst = std::max(report->worst, difference);
      if (difference > golden.tolerance) {
        return DataLoss("golden case '" + name + "': output '" + output + "' differs by " +
                        std::to_string(difference) + " of its largest value, " +
                        std::to_string(golden.tolerance) + " is allowed");
      }
    }
    ++report->golden_cases;
  }
  return OkStatus();
}

// Cosine over all values of an output, the smallest of all outputs.
Status CompareAnswers(const Response& wanted, const Response& got, FileReport* report) {
  for (const NamedTensor& output : wanted.outputs) {
    const auto other = std::find_if(got.outputs.begin(), got.outputs.end(),
                                    [&](const NamedTensor& tensor) { return tensor.name == output.name; });
    if (other == got.outputs.end() || other->tensor.shape() != output.tensor.shape())
      return DataLoss("output '" + output.name + "' is not that of the reference");
    const std::vector<float> a = Floats(output.tensor.dtype(), output.tensor.data());
    const std::vector<float> b = Floats(other->tensor.dtype(), other->tensor.data());
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = a[i];
      const double y = b[i];
      report->max_abs = std::max(report->max_abs, std::fabs(x - y));
      dot += x * y;
      aa += x * x;
      bb += y * y;
    }
    report->cosine = std::min(report->cosine, aa * bb > 0 ? dot / std::sqrt(aa * bb) : 1.0);
    report->compared += a.size();
  }
  return OkStatus();
}

// Both forms on the same inputs.
Status CompareWithReference(plugin::Instance& instance, plugin::Instance& reference,
                            const CheckOptions& options, FileReport* report) {
  MLOS_ASSIGN_OR_RETURN(std::vector<std::vector<NamedTensor>> samples,
                        SampleInputs(options.package_dir, instance.interface(), {options.max_length}));
  report->samples = samples.size();
  for (std::vector<NamedTensor>& inputs : samples) {
    std::vector<NamedTensor> same;
    for (const NamedTensor& input : inputs) same.push_back({input.name, input.tensor.Clone()});
    MLOS_ASSIGN_OR_RETURN(const Response wanted, Run(reference, std::move(same)));
    MLOS_ASSIGN_OR_RETURN(const Response got, Run(instance, std::move(inputs)));
    MLOS_RETURN_IF_ERROR(CompareAnswers(wanted, got, report));
  }
  return OkStatus();
}

Result<std::unique_ptr<plugin::Instance>> Load(plugin::PluginRegistry& plugins, const CheckOptions& options,
                                               const std::filesystem::path& file) {
  MLOS_ASSIGN_OR_RETURN(const std::string plugin, plugins.ForFormat(options.format));
  plugin::LoadOptions load;
  load.package_dir = options.package_dir;
  load.model_path = file;
  load.format = options.format;
  return plugins.Load(plugin, load);
}

Status CheckFile(plugin::PluginRegistry& plugins, const CheckOptions& options, bool is_first,
                 FileReport* report) {
  auto start = Clock::now();
  MLOS_ASSIGN_OR_RETURN(const auto instance, Load(plugins, options, options.package_dir / report->file));
  report->load_ms = MsSince(start);
  MLOS_ASSIGN_OR_RETURN(std::vector<NamedTensor> inputs,
                        CannedInputs(instance->interface(), {options.max_length}));
  start = Clock::now();
  MLOS_ASSIGN_OR_RETURN(const Response response, Run(*instance, std::move(inputs)));
  report->run_ms = MsSince(start);
  report->outputs = response.outputs.size();
  MLOS_RETURN_IF_ERROR(CheckFinite(response));
  if (!options.reference.empty()) {
    CheckOptions other = options;
    other.package_dir = options.reference.parent_path();
    MLOS_ASSIGN_OR_RETURN(const auto reference, Load(plugins, other, options.reference));
    // Answers of its own belong to the other form: this one is as exact as it can be.
    return CompareWithReference(*instance, *reference, options, report);
  }
  const std::filesystem::path golden =
      options.golden.empty() ? options.package_dir / kGoldenFile : options.golden;
  if (!is_first || (options.golden.empty() && !os::Exists(golden))) return OkStatus();
  return CheckGolden(*instance, golden, report);
}

}  // namespace

Result<std::vector<FileReport>> CheckPackage(plugin::PluginRegistry& plugins, const CheckOptions& options) {
  std::vector<FileReport> reports;
  for (const std::string& file : options.files) {
    FileReport& report = reports.emplace_back();
    report.file = file;
    MLOS_RETURN_IF_ERROR(CheckFile(plugins, options, reports.size() == 1, &report).WithContext(file));
  }
  return reports;
}

}  // namespace mlos::check
