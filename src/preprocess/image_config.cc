// SPDX-License-Identifier: Apache-2.0
#include "preprocess/image_config.h"

#include <array>
#include <cmath>
#include <tuple>

#include "os/file.h"
#include "preprocess/json_file.h"

namespace mlos::preprocess {
namespace {

namespace dom = simdjson::dom;

constexpr int64_t kMaxSide = 1 << 20;
constexpr size_t kMaxChannels = 1 << 10;
// By their numbers in Pillow.
constexpr std::array<std::string_view, 6> kResamples = {"nearest", "lanczos", "bilinear",
                                                        "bicubic", "box",     "hamming"};

Status Wrong(std::string_view key, dom::element found, std::string_view wanted) {
  std::string json = simdjson::minify(found);
  if (json.size() > 80) json = json.substr(0, 80) + "...";
  return DataLoss(std::string(kImageConfigFile) + ": '" + std::string(key) + "' is " + json + "; wanted " +
                  std::string(wanted));
}

// A value that is there and not null.
bool Find(dom::object object, std::string_view key, dom::element* value) {
  return object[key].get(*value) == simdjson::SUCCESS && !value->is_null();
}

Result<int64_t> Side(std::string_view key, dom::element value) {
  int64_t side = 0;
  if (value.get_int64().get(side) != simdjson::SUCCESS || side < 1 || side > kMaxSide)
    return Wrong(key, value, "a whole number of pixels, at least 1");
  return side;
}

// False only when the file says so.
Result<bool> IsDone(dom::object root, std::string_view key) {
  dom::element value;
  if (!Find(root, key, &value)) return true;
  bool done = true;
  if (value.get_bool().get(done) != simdjson::SUCCESS) return Wrong(key, value, "true or false");
  return done;
}

Status ReadSize(dom::object root, ImageConfig* config) {
  MLOS_ASSIGN_OR_RETURN(const bool resizes, IsDone(root, "do_resize"));
  dom::element value;
  if (!resizes || !Find(root, "size", &value)) return OkStatus();
  dom::object sides;
  if (value.get_object().get(sides) != simdjson::SUCCESS) {
    MLOS_ASSIGN_OR_RETURN(const int64_t side, Side("size", value));
    config->resize = "number";
    config->size = {side};
    if (!Find(root, "max_size", &value)) return OkStatus();
    MLOS_ASSIGN_OR_RETURN(const int64_t longest, Side("max_size", value));
    config->size.push_back(longest);
    return OkStatus();
  }
  const dom::element size = value;
  for (const auto& [kind, first, second, needs_second] :
       {std::tuple{"exact", "height", "width", true},
        {"shortest_edge", "shortest_edge", "longest_edge", false}}) {
    if (!Find(sides, first, &value)) continue;
    MLOS_ASSIGN_OR_RETURN(const int64_t side, Side(first, value));
    config->resize = kind;
    config->size = {side};
    if (Find(sides, second, &value)) {
      MLOS_ASSIGN_OR_RETURN(const int64_t other, Side(second, value));
      config->size.push_back(other);
    } else if (needs_second) {
      break;
    }
    return OkStatus();
  }
  return Wrong("size", size, "a number, 'height' and 'width', or 'shortest_edge'");
}

Status ReadCrop(dom::object root, ImageConfig* config) {
  dom::element value;
  bool crops = false;  // that it crops must be stated, that it does not need not
  if (Find(root, "do_center_crop", &value) && value.get_bool().get(crops) != simdjson::SUCCESS)
    return Wrong("do_center_crop", value, "true or false");
  if (!crops || !Find(root, "crop_size", &value)) return OkStatus();
  dom::object sides;
  if (value.get_object().get(sides) != simdjson::SUCCESS) {
    MLOS_ASSIGN_OR_RETURN(const int64_t side, Side("crop_size", value));
    config->crop = {side, side};
    return OkStatus();
  }
  dom::element height;
  dom::element width;
  if (!Find(sides, "height", &height) || !Find(sides, "width", &width))
    return Wrong("crop_size", value, "a number, or 'height' and 'width'");
  MLOS_ASSIGN_OR_RETURN(const int64_t rows, Side("height", height));
  MLOS_ASSIGN_OR_RETURN(const int64_t columns, Side("width", width));
  config->crop = {rows, columns};
  return OkStatus();
}

Status ReadNumbers(dom::object root, std::string_view key, std::vector<double>* numbers) {
  dom::element value;
  if (!Find(root, key, &value)) return OkStatus();
  dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS || array.size() > kMaxChannels)
    return Wrong(key, value, "a list of numbers");
  for (const dom::element element : array) {
    double number = 0;
    if (element.get_double().get(number) != simdjson::SUCCESS || !std::isfinite(number))
      return Wrong(key, value, "a list of numbers");
    numbers->push_back(number);
  }
  return OkStatus();
}

Status ReadValues(dom::object root, ImageConfig* config) {
  dom::element value;
  MLOS_ASSIGN_OR_RETURN(const bool rescales, IsDone(root, "do_rescale"));
  if (rescales && Find(root, "rescale_factor", &value)) {
    if (value.get_double().get(config->rescale) != simdjson::SUCCESS || !(config->rescale > 0) ||
        !std::isfinite(config->rescale))
      return Wrong("rescale_factor", value, "a number above 0");
  }
  MLOS_ASSIGN_OR_RETURN(const bool normalizes, IsDone(root, "do_normalize"));
  if (!normalizes) return OkStatus();
  MLOS_RETURN_IF_ERROR(ReadNumbers(root, "image_mean", &config->mean));
  return ReadNumbers(root, "image_std", &config->std);
}

}  // namespace

Result<ImageConfig> ParseImageConfig(std::string_view json) {
  MLOS_ASSIGN_OR_RETURN(const JsonDocument document, ParseJson(json, kImageConfigFile));
  dom::object root;
  if (document.root.get_object().get(root) != simdjson::SUCCESS)
    return DataLoss(std::string(kImageConfigFile) + " is not a JSON object");
  ImageConfig config;
  dom::element value;
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    if (!config.processor.empty() || !Find(root, key, &value)) continue;
    std::string_view name;
    if (value.get_string().get(name) != simdjson::SUCCESS) return Wrong(key, value, "the name of a class");
    config.processor = name;
  }
  MLOS_RETURN_IF_ERROR(ReadSize(root, &config));
  if (!config.resize.empty() && Find(root, "resample", &value)) {
    uint64_t number = 0;
    if (value.get_uint64().get(number) != simdjson::SUCCESS || number >= kResamples.size())
      return Wrong("resample", value, "a whole number from 0 to 5");
    config.resample = kResamples[number];
  }
  MLOS_RETURN_IF_ERROR(ReadCrop(root, &config));
  MLOS_RETURN_IF_ERROR(ReadValues(root, &config));
  return config;
}

Result<ImageConfig> ReadImageConfig(const std::filesystem::path& package_dir) {
  MLOS_ASSIGN_OR_RETURN(const std::string json,
                        os::ReadFile(package_dir / kImageConfigFile, kMaxJsonFileBytes));
  return ParseImageConfig(json);
}

}  // namespace mlos::preprocess
