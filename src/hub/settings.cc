// SPDX-License-Identifier: Apache-2.0
#include "hub/settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;

std::string Trim(std::string text) {
  const auto is_space = [](unsigned char c) { return c <= ' '; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

bool IsTrue(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

// First of `names` that is set and not empty.
std::string First(const Settings::Getenv& getenv, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = getenv(name); value && !value->empty()) return *value;
  }
  return "";
}

fs::path HuggingFaceHome(const Settings::Getenv& getenv, const std::string& home) {
  const auto expand = [&home](const std::string& path) {
    return path.starts_with("~/") && !home.empty() ? fs::path(home) / path.substr(2) : fs::path(path);
  };
  if (const std::string hf_home = First(getenv, {"HF_HOME"}); !hf_home.empty()) return expand(hf_home);
  if (const std::string xdg = First(getenv, {"XDG_CACHE_HOME"}); !xdg.empty())
    return expand(xdg) / "huggingface";
  if (!home.empty()) return fs::path(home) / ".cache" / "huggingface";
  return {};
}

void ReadToken(const Settings::Getenv& getenv, const fs::path& hf_home, Settings* settings) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (auto value = getenv(name); value && !Trim(*value).empty()) {
      settings->token = Trim(*value);
      settings->token_origin = name;
      return;
    }
  }
  if (IsTrue(First(getenv, {"HF_HUB_DISABLE_IMPLICIT_TOKEN"}))) return;
  fs::path file = First(getenv, {"HF_TOKEN_PATH"});
  if (file.empty() && !hf_home.empty()) file = hf_home / "token";
  if (file.empty()) return;
  std::ifstream in(file);
  if (!in) return;
  std::string text(std::istreambuf_iterator<char>(in), {});
  settings->token = Trim(std::move(text));
  settings->token_origin = file.string();
}

}  // namespace

Settings Settings::FromEnvironment(const Getenv& getenv) {
  Settings settings;
  if (std::string endpoint = First(getenv, {"HF_ENDPOINT"}); !endpoint.empty())
    settings.endpoint = Trim(endpoint);
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  const fs::path hf_home = HuggingFaceHome(getenv, First(getenv, {"HOME"}));
  settings.cache_dir = First(getenv, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  if (settings.cache_dir.empty() && !hf_home.empty()) settings.cache_dir = hf_home / "hub";
  settings.offline =
      IsTrue(First(getenv, {"HF_HUB_OFFLINE"})) || IsTrue(First(getenv, {"TRANSFORMERS_OFFLINE"}));
  settings.ca_file = First(getenv, {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"});
  const std::string timeout = First(getenv, {"HF_HUB_DOWNLOAD_TIMEOUT"});
  int seconds = 0;
  const auto [end, error] = std::from_chars(timeout.data(), timeout.data() + timeout.size(), seconds);
  if (error == std::errc() && seconds > 0) settings.stall_timeout_s = seconds;
  ReadToken(getenv, hf_home, &settings);
  return settings;
}

Settings Settings::FromEnvironment() {
  return FromEnvironment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): called before threads start
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

}  // namespace mlos::hub
