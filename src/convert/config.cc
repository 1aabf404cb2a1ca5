// SPDX-License-Identifier: Apache-2.0
#include "convert/config.h"

#include <algorithm>
#include <utility>

#include <simdjson.h>

#include "preprocess/json_file.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kShownBytes = 80;
constexpr int kMaxDepth = 4;  // of objects that can be asked for

std::string Shown(dom::element element) {
  std::string json = simdjson::minify(element);
  if (json.size() > kShownBytes) json = json.substr(0, kShownBytes) + "...";
  return json;
}

}  // namespace

class ConfigReader {
 public:
  static Result<Config> Read(dom::object object, int depth) {
    Config config;
    for (const auto& [key, value] : object) {
      MLOS_ASSIGN_OR_RETURN(Config::Entry entry, ReadEntry(value, depth));
      if (!config.entries_.emplace(key, std::move(entry)).second) {
        return DataLoss("config.json has '" + std::string(key) + "' twice");
      }
    }
    return config;
  }

 private:
  static Result<Config::Entry> ReadEntry(dom::element value, int depth) {
    Config::Entry entry;
    entry.json = Shown(value);
    dom::array array;
    dom::object nested;
    std::string_view text;
    if (value.get_bool().get(entry.boolean) == simdjson::SUCCESS) {
      entry.kind = Config::Entry::Kind::kBool;
    } else if (value.get_int64().get(entry.integer) == simdjson::SUCCESS) {
      entry.kind = Config::Entry::Kind::kInt;
      entry.number = static_cast<double>(entry.integer);
    } else if (value.get_double().get(entry.number) == simdjson::SUCCESS) {
      entry.kind = Config::Entry::Kind::kDouble;
    } else if (value.get_string().get(text) == simdjson::SUCCESS) {
      entry.kind = Config::Entry::Kind::kString;
      entry.text = text;
    } else if (value.get_array().get(array) == simdjson::SUCCESS) {
      ReadList(array, &entry);
    } else if (value.get_object().get(nested) == simdjson::SUCCESS) {
      entry.kind = Config::Entry::Kind::kObject;
      entry.empty = nested.size() == 0;
      if (depth < kMaxDepth) {
        MLOS_ASSIGN_OR_RETURN(Config object, Read(nested, depth + 1));
        entry.object = std::make_shared<const Config>(std::move(object));
      }
    }
    return entry;
  }

  static void ReadList(dom::array array, Config::Entry* entry) {
    entry->kind = Config::Entry::Kind::kList;
    for (dom::element element : array) {
      entry->empty = false;
      std::string_view text;
      if (element.get_string().get(text) == simdjson::SUCCESS) entry->texts.emplace_back(text);
      if (int64_t integer = 0; element.get_int64().get(integer) == simdjson::SUCCESS)
        entry->integers.push_back(integer);
      if (double number = 0; element.get_double().get(number) == simdjson::SUCCESS)
        entry->numbers.push_back(number);
    }
    if (entry->texts.size() != array.size()) entry->texts.clear();
    if (entry->integers.size() != array.size()) entry->integers.clear();
    if (entry->numbers.size() != array.size()) entry->numbers.clear();
  }
};

Result<Config> Config::Parse(std::string_view json) {
  MLOS_ASSIGN_OR_RETURN(const preprocess::JsonDocument document, preprocess::ParseJson(json, "config.json"));
  dom::object object;
  if (document.root.get_object().get(object) != simdjson::SUCCESS)
    return DataLoss("config.json is not a JSON object");
  return ConfigReader::Read(object, 0);
}

const Config::Entry* Config::Find(std::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() || found->second.kind == Entry::Kind::kNull ? nullptr : &found->second;
}

bool Config::Has(std::string_view key) const { return Find(key) != nullptr; }

Status Config::Refuse(std::string_view key, const Entry& entry, std::string_view wanted) {
  return Unimplemented("config.json: '" + std::string(key) + "' is " + entry.json +
                       "; supported: " + std::string(wanted));
}

Result<int64_t> Config::Int(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  if (entry->kind != Entry::Kind::kInt || entry->integer < minimum || entry->integer > maximum) {
    return Refuse(key, *entry,
                  "a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  }
  return entry->integer;
}

Result<double> Config::Number(std::string_view key, double fallback, double minimum, double maximum) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  const bool is_number = entry->kind == Entry::Kind::kInt || entry->kind == Entry::Kind::kDouble;
  if (!is_number || !(entry->number >= minimum && entry->number <= maximum)) {
    return Refuse(key, *entry, "a number from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  }
  return entry->number;
}

Result<bool> Config::Bool(std::string_view key, bool fallback) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  if (entry->kind != Entry::Kind::kBool) return Refuse(key, *entry, "true and false");
  return entry->boolean;
}

Result<std::string> Config::String(std::string_view key, std::string_view fallback) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::string(fallback);
  if (entry->kind != Entry::Kind::kString) return Refuse(key, *entry, "text");
  return entry->text;
}

Result<std::vector<std::string>> Config::Strings(std::string_view key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::vector<std::string>{};
  if (entry->kind != Entry::Kind::kList || (entry->texts.empty() && !entry->empty))
    return Refuse(key, *entry, "a list of texts");
  return entry->texts;
}

Result<std::vector<int64_t>> Config::Ints(std::string_view key, std::vector<int64_t> fallback,
                                          int64_t minimum, int64_t maximum) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  std::vector<int64_t> values = entry->integers;
  if (entry->kind == Entry::Kind::kInt) values = {entry->integer};
  const bool in_range = std::all_of(values.begin(), values.end(),
                                    [&](int64_t value) { return value >= minimum && value <= maximum; });
  if (values.empty() || !in_range) {
    return Refuse(key, *entry,
                  "whole numbers from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  }
  return values;
}

Result<std::vector<double>> Config::Numbers(std::string_view key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::vector<double>{};
  if (entry->kind != Entry::Kind::kList || (entry->numbers.empty() && !entry->empty))
    return Refuse(key, *entry, "a list of numbers");
  return entry->numbers;
}

Result<Config> Config::Object(std::string_view key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return Config();
  if (entry->object == nullptr) return Refuse(key, *entry, "an object");
  return *entry->object;
}

Status Config::RequireOneOf(std::string_view key, std::initializer_list<std::string_view> known) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return OkStatus();
  if (entry->kind == Entry::Kind::kString &&
      std::find(known.begin(), known.end(), entry->text) != known.end())
    return OkStatus();
  std::string wanted;
  for (const std::string_view name : known) wanted += (wanted.empty() ? "" : ", ") + std::string(name);
  return Refuse(key, *entry, wanted);
}

Status Config::RequireBool(std::string_view key, bool known) const {
  const Entry* entry = Find(key);
  if (entry == nullptr || (entry->kind == Entry::Kind::kBool && entry->boolean == known)) return OkStatus();
  return Refuse(key, *entry, known ? "true" : "false");
}

Status Config::RequireEmpty(std::string_view key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return OkStatus();
  switch (entry->kind) {
    case Entry::Kind::kNull:
      return OkStatus();
    case Entry::Kind::kBool:
      if (!entry->boolean) return OkStatus();
      break;
    case Entry::Kind::kString:
      if (entry->text.empty()) return OkStatus();
      break;
    case Entry::Kind::kList:
    case Entry::Kind::kObject:
      if (entry->empty) return OkStatus();
      break;
    case Entry::Kind::kInt:
    case Entry::Kind::kDouble:
      break;
  }
  return Refuse(key, *entry, "none");
}

}  // namespace mlos::convert
