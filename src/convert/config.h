// SPDX-License-Identifier: Apache-2.0
// config.json of a Hugging Face repository, read strictly: a value that a builder does not know is refused by key and value,
// never approximated.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::convert {

class Config {
 public:
  // kDataLoss when `json` is not one JSON object or has a key twice.
  static Result<Config> Parse(std::string_view json);

  // True when the key is there and not null.
  bool Has(std::string_view key) const;

  // The value, or `fallback` when the key is absent or null. kUnimplemented, naming key and value, when the value has another
  // type or lies outside the range.
  Result<int64_t> Int(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const;
  Result<double> Number(std::string_view key, double fallback, double minimum, double maximum) const;
  Result<bool> Bool(std::string_view key, bool fallback) const;
  Result<std::string> String(std::string_view key, std::string_view fallback) const;
  Result<std::vector<std::string>> Strings(std::string_view key) const;  // absent = empty
  // A list of whole numbers; a number alone is a list of one.
  Result<std::vector<int64_t>> Ints(std::string_view key, std::vector<int64_t> fallback, int64_t minimum,
                                    int64_t maximum) const;
  // A list of numbers; absent = empty.
  Result<std::vector<double>> Numbers(std::string_view key) const;
  // A nested object; an absent one is an empty one. Messages name its keys as they stand in it.
  Result<Config> Object(std::string_view key) const;

  // kUnimplemented unless the key is absent, null or has one of the known values.
  Status RequireOneOf(std::string_view key, std::initializer_list<std::string_view> known) const;
  Status RequireBool(std::string_view key, bool known) const;
  // kUnimplemented when the key is there with anything but null, {}, [], "" or false.
  Status RequireEmpty(std::string_view key) const;

 private:
  struct Entry {
    enum class Kind { kNull, kBool, kInt, kDouble, kString, kList, kObject };
    Kind kind = Kind::kNull;
    bool boolean = false;
    int64_t integer = 0;
    double number = 0;
    std::string text;                // of a string
    std::vector<std::string> texts;  // the strings of a list that holds nothing else
    std::vector<int64_t> integers;   // of a list that holds nothing else
    std::vector<double> numbers;     // of a list that holds nothing else
    bool empty = true;               // of a list or object
    std::string json;                // as it stands in the file, for messages
    std::shared_ptr<const Config> object;
  };
  friend class ConfigReader;
  const Entry* Find(std::string_view key) const;
  static Status Refuse(std::string_view key, const Entry& entry, std::string_view wanted);

  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace mlos::convert
