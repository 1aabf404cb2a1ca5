// SPDX-License-Identifier: Apache-2.0
// What the environment says about hubs, by the names Hugging Face's own tools use.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace mlos::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT; no "/" at the end
  std::string token;                // HF_TOKEN, else the file HF_TOKEN_PATH, else $HF_HOME/token
  std::string token_origin;         // for messages: "HF_TOKEN" or the file's name
  std::filesystem::path cache_dir;  // HF_HUB_CACHE, else $HF_HOME/hub; empty: no home folder known
  bool offline = false;             // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
  std::string ca_file;              // SSL_CERT_FILE, CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE
  int stall_timeout_s = 30;         // HF_HUB_DOWNLOAD_TIMEOUT: no byte for so long
  int connect_timeout_s = 15;

  using Getenv = std::function<std::optional<std::string>(const char* name)>;
  static Settings FromEnvironment(const Getenv& getenv);
  static Settings FromEnvironment();
};

}  // namespace mlos::hub
