// SPDX-License-Identifier: Apache-2.0
#include "hub/huggingface.h"

#include <simdjson.h>

#include <algorithm>

namespace mlos::hub {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxFiles = 100'000;
constexpr int kMaxPages = 200;

std::string StringAt(dom::element object, const char* key) {
  std::string_view text;
  if (object[key].get(text) != simdjson::SUCCESS) return "";
  return std::string(text);
}

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The sizes and digests of one file, from a `siblings` entry or a `tree` entry; false when the size is missing.
// `lfs` holds the sha256 as "sha256" in the former, as "oid" in the latter.
bool ReadFile(dom::element entry, const char* path_key, const char* blob_key, const char* sha256_key,
              RemoteFile* file) {
  file->path = StringAt(entry, path_key);
  if (const std::string blob = StringAt(entry, blob_key); IsHex(blob, 40)) file->git_sha1 = blob;
  bool has_size = entry["size"].get(file->size_bytes) == simdjson::SUCCESS;
  dom::element lfs;
  if (entry["lfs"].get(lfs) == simdjson::SUCCESS && lfs.is_object()) {
    std::string sha256 = StringAt(lfs, sha256_key);
    if (sha256.starts_with("sha256:")) sha256 = sha256.substr(7);
    if (IsHex(sha256, 64)) file->sha256 = sha256;
    file->git_sha1.clear();  // of the pointer, not of the contents
    if (lfs["size"].get(file->size_bytes) == simdjson::SUCCESS) has_size = true;
  }
  return has_size;
}

Status NotAnAnswer(const char* what) {
  return DataLoss(std::string("the hub's answer is not what a Hugging Face hub sends: ") + what);
}

void ReadCard(dom::element root, Repository* repository) {
  dom::element card;
  if (root["cardData"].get(card) == simdjson::SUCCESS && card.is_object()) {
    repository->license = StringAt(card, "license");
  }
  repository->task = StringAt(root, "pipeline_tag");
  dom::array tags;
  if (root["tags"].get(tags) != simdjson::SUCCESS) return;
  for (dom::element tag : tags) {
    std::string_view text;
    if (tag.get(text) != simdjson::SUCCESS || text.size() > 100 || repository->tags.size() >= 64) continue;
    if (text.starts_with("license:") && repository->license.empty()) repository->license = text.substr(8);
    repository->tags.emplace_back(text);
  }
}

}  // namespace

bool IsCommit(std::string_view revision) { return IsHex(revision, 40); }

std::string HubRevision(const package::ModelRef& ref) {
  return ref.revision == "latest" ? "main" : ref.revision;
}

std::string NextPage(std::string_view link_header) {
  while (!link_header.empty()) {
    const size_t open = link_header.find('<');
    const size_t close = link_header.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return "";
    const std::string_view url = link_header.substr(open + 1, close - open - 1);
    const std::string_view rest = link_header.substr(close + 1);
    const size_t comma = rest.find(",");
    if (rest.substr(0, comma).find("rel=\"next\"") != std::string_view::npos) return std::string(url);
    if (comma == std::string_view::npos) return "";
    link_header = rest.substr(comma + 1);
  }
  return "";
}

Result<Repository> ParseModelInfo(std::string_view json, bool* complete) {
  *complete = true;
  dom::parser parser;
  dom::element root;
  if (parser.parse(simdjson::padded_string(json)).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return NotAnAnswer("no JSON object");
  }
  Repository repository;
  repository.hub = "huggingface";
  repository.id = StringAt(root, "id");
  if (repository.id.empty()) repository.id = StringAt(root, "modelId");
  repository.commit = StringAt(root, "sha");
  if (!IsCommit(repository.commit)) return NotAnAnswer("'sha' is not a commit of 40 hex digits");
  dom::array siblings;
  if (root["siblings"].get(siblings) != simdjson::SUCCESS) return NotAnAnswer("no 'siblings'");
  for (dom::element entry : siblings) {
    RemoteFile file;
    const bool has_size = ReadFile(entry, "rfilename", "blobId", "sha256", &file);
    if (!IsSafePath(file.path)) return NotAnAnswer("a file name that is not a plain relative path");
    if (repository.files.size() >= kMaxFiles) return NotAnAnswer("more than 100000 files");
    if (has_size) {
      repository.files.push_back(std::move(file));
    } else {
      *complete = false;
    }
  }
  ReadCard(root, &repository);
  std::sort(repository.files.begin(), repository.files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return repository;
}

Result<std::vector<RemoteFile>> ParseTree(std::string_view json) {
  dom::parser parser;
  dom::array entries;
  if (parser.parse(simdjson::padded_string(json)).get(entries) != simdjson::SUCCESS)
    return NotAnAnswer("no JSON array");
  std::vector<RemoteFile> files;
  for (dom::element entry : entries) {
    if (StringAt(entry, "type") != "file") continue;
    RemoteFile file;
    if (!ReadFile(entry, "path", "oid", "oid", &file)) return NotAnAnswer("a file without 'size'");
    if (!IsSafePath(file.path)) return NotAnAnswer("a file name that is not a plain relative path");
    files.push_back(std::move(file));
  }
  return files;
}

HttpSubject HuggingFaceAdapter::Subject(const std::string& id, const std::string& revision) const {
  return {HostOf(settings_.endpoint), id, revision, "", settings_.token_origin};
}

Result<std::vector<RemoteFile>> HuggingFaceAdapter::ListTree(HttpClient* http,
                                                             const Repository& repository) const {
  std::vector<RemoteFile> files;
  std::string url = settings_.endpoint + "/api/models/" + PercentEncode(repository.id, true) + "/tree/" +
                    repository.commit + "?recursive=true&expand=false";
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMaxPages) return NotAnAnswer("a file list that never ends");
    // A page elsewhere does not get the token.
    const bool own_host = HostOf(url) == HostOf(settings_.endpoint);
    MLOS_ASSIGN_OR_RETURN(const HttpAnswer answer, http->Get(url, own_host));
    if (answer.status != 200) {
      return HttpRefusal(answer.status, answer.headers, Subject(repository.id, repository.commit));
    }
    MLOS_ASSIGN_OR_RETURN(std::vector<RemoteFile> part, ParseTree(answer.body));
    files.insert(files.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    if (files.size() > kMaxFiles) return NotAnAnswer("more than 100000 files");
    url = NextPage(answer.Header("link"));
  }
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return files;
}

Result<Repository> HuggingFaceAdapter::ResolveOnline(const std::string& id, const std::string& revision,
                                                     const std::atomic<bool>* interrupted) const {
  HttpClient http(settings_, retry_, interrupted);
  const std::string url = settings_.endpoint + "/api/models/" + PercentEncode(id, true) + "/revision/" +
                          PercentEncode(revision, false) + "?blobs=true";
  MLOS_ASSIGN_OR_RETURN(const HttpAnswer answer, http.Get(url, true));
  if (answer.status != 200) return HttpRefusal(answer.status, answer.headers, Subject(id, revision));
  bool complete = false;
  MLOS_ASSIGN_OR_RETURN(Repository repository, ParseModelInfo(answer.body, &complete));
  // The hub may know it under another name by now (bert-base-uncased -> google-bert/bert-base-uncased); the asked one
  // goes on working, and is what the cache may hold.
  repository.id = id;
  repository.url = settings_.endpoint + "/" + id;
  if (!complete) {
    MLOS_ASSIGN_OR_RETURN(repository.files, ListTree(&http, repository));
  }
  if (repository.files.empty())
    return NotFound("'" + id + "' on " + HostOf(settings_.endpoint) + " has no files");
  return repository;
}

Result<Repository> HuggingFaceAdapter::Resolve(const package::ModelRef& ref,
                                               const std::atomic<bool>* interrupted) {
  const std::string revision = HubRevision(ref);
  if (settings_.offline) {
    Result<Repository> cached = cache_.Resolve(ref.name, revision);
    if (!cached.ok()) return cached.status().WithContext("offline (HF_HUB_OFFLINE)");
    cached->url = settings_.endpoint + "/" + ref.name;
    cached->note = "offline: taken from the Hugging Face cache " + cache_.root().string();
    return cached;
  }
  Result<Repository> online = ResolveOnline(ref.name, revision, interrupted);
  if (online.ok() || online.status().code() != Code::kUnavailable) return online;
  Result<Repository> cached = cache_.Resolve(ref.name, revision);
  if (!cached.ok()) return online;
  cached->url = settings_.endpoint + "/" + ref.name;
  cached->note = online.status().message() + "; taken from the Hugging Face cache " + cache_.root().string();
  return cached;
}

FileSource HuggingFaceAdapter::Locate(const Repository& repository, const RemoteFile& file) const {
  FileSource source;
  source.local = cache_.FindFile(repository.id, repository.commit, file);
  if (settings_.offline) return source;
  source.url = settings_.endpoint + "/" + PercentEncode(repository.id, true) + "/resolve/" +
               repository.commit + "/" + PercentEncode(file.path, true);
  source.bearer_token = settings_.token;
  return source;
}

}  // namespace mlos::hub
