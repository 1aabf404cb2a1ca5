// SPDX-License-Identifier: Apache-2.0
// libcurl handles with the settings every transfer shares. Private to src/hub.
#pragma once

#include <curl/curl.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "hub/settings.h"

namespace mlos::hub {

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CurlMultiDeleter {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlEasy = std::unique_ptr<CURL, CurlDeleter>;
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

// Collects headers; a new status line (a redirect's successor) starts afresh.
using Headers = std::map<std::string, std::string>;
void AddHeaderLine(std::string_view line, Headers* headers);

// Timeouts, redirects, TLS, user agent, and the token for the URL's own host.
void ConfigureCurl(CURL* handle, const Settings& settings, const std::string& url,
                   const std::string& bearer_token);

// Initialises libcurl once.
void EnsureCurl();

}  // namespace mlos::hub
