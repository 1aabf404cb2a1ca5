// SPDX-License-Identifier: Apache-2.0
// Hugging Face, or anything that speaks its HTTP API: the public hub, a company's mirror, `axon mirror`.
//
//   GET {endpoint}/api/models/{id}/revision/{rev}?blobs=true              commit, file list with sizes and digests
//   GET {endpoint}/api/models/{id}/tree/{commit}?recursive=true           the list again, when the first one has no sizes
//   GET {endpoint}/{id}/resolve/{commit}/{path}                           the bytes; ranges, redirects to a CDN
//
// An existing Hugging Face cache on this machine is looked at first for the bytes, and is the only source when offline.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hub/adapter.h"
#include "hub/hf_cache.h"
#include "hub/http.h"

namespace mlos::hub {

class HuggingFaceAdapter final : public Adapter {
 public:
  HuggingFaceAdapter(Settings settings, RetryPolicy retry)
      : settings_(std::move(settings)), retry_(retry), cache_(settings_.cache_dir) {}

  Result<Repository> Resolve(const package::ModelRef& ref, const std::atomic<bool>* interrupted) override;
  FileSource Locate(const Repository& repository, const RemoteFile& file) const override;

 private:
  Result<Repository> ResolveOnline(const std::string& id, const std::string& revision,
                                   const std::atomic<bool>* interrupted) const;
  Result<std::vector<RemoteFile>> ListTree(HttpClient* http, const Repository& repository) const;
  HttpSubject Subject(const std::string& id, const std::string& revision) const;

  // Constant after construction.
  const Settings settings_;
  const RetryPolicy retry_;
  const HfCache cache_;
};

// The answer of /api/models/{id}[/revision/{rev}]. Files whose size the hub left out are missing from `files`, and
// `*complete` is false. kDataLoss when it is no such answer.
Result<Repository> ParseModelInfo(std::string_view json, bool* complete);

// The answer of /api/models/{id}/tree/{rev}.
Result<std::vector<RemoteFile>> ParseTree(std::string_view json);

// The URL in `<...>; rel="next"` of a Link header; empty when there is none.
std::string NextPage(std::string_view link_header);

// "main" for "latest"; anything else is what the hub calls it.
std::string HubRevision(const package::ModelRef& ref);

// True for 40 lower-case hex digits: a name that cannot move.
bool IsCommit(std::string_view revision);

}  // namespace mlos::hub
