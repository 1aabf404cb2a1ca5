// SPDX-License-Identifier: Apache-2.0
#include "weight_cache.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "cpu.h"
#include "digest.h"
#include "options.h"
#include "plugin.h"

namespace mlos_ort {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxRecord = 1 << 20;
constexpr uint64_t kMaxDigestedGraph = 32 << 20;
constexpr int64_t kLockTimeoutMs = 60'000;
constexpr auto kScratchLife = std::chrono::hours(1);
constexpr char kRecord[] = "entry";
constexpr char kScratchPrefix[] = "tmp-";
constexpr char kLocks[] = "locks";
constexpr char kUsePrefix[] = "use-";

std::string Hex(uint64_t word) {
  char text[20];
  std::snprintf(text, sizeof text, "%016" PRIx64, word);
  return text;
}

uint64_t TextDigest(const std::string& text, uint64_t seed) {
  Digest digest(seed);
  digest.Add(std::as_bytes(std::span(text)));
  return digest.value();
}

// False when the file cannot be looked at or its name cannot stand in a record.
bool AddSource(const fs::path& folder, const std::string& name, bool read, std::string* facts) {
  const std::string path = (folder / name).string();
  const std::optional<Stamp> stamp = StampOf(path);
  if (!stamp || name.find('\n') != std::string::npos) return false;
  std::string digest = "-";
  if (read && stamp->size <= kMaxDigestedGraph) {
    const std::optional<uint64_t> value = DigestOf(path);
    if (!value) return false;
    digest = Hex(*value);
  }
  // Not the device, which changes when a disk is found in another order, nor the folder, which may be seen under another
  // name from inside a sandbox; nor the time of the last change of links, which the store makes.
  *facts += "source " + std::to_string(stamp->size) + " " + std::to_string(stamp->mtime_ns) + " " +
            std::to_string(stamp->inode) + " " + digest + " " + name + "\n";
  return true;
}

const char* LevelName(GraphOptimizationLevel level) {
  switch (level) {
    case ORT_DISABLE_ALL:
      return "off";
    case ORT_ENABLE_BASIC:
      return "basic";
    case ORT_ENABLE_EXTENDED:
      return "extended";
    default:
      return "all";
  }
}

uint64_t FolderBytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::optional<Stamp> stamp = StampOf(it->path().string());
    if (stamp) bytes += stamp->size;
  }
  return bytes;
}

struct Candidate {
  std::string folder;
  uint64_t bytes = 0;
  int64_t used_ns = 0;
};

}  // namespace

WeightCache::WeightCache(std::string root, uint64_t limit_bytes, bool may_write, std::string build_root,
                         const smi_plugin& plugin)
    : root_(std::move(root)),
      limit_bytes_(limit_bytes),
      may_write_(may_write && build_root.empty()),
      build_root_(std::move(build_root)),
      plugin_(plugin) {}

std::optional<CacheKey> WeightCache::KeyOf(const std::string& model_path, const OnnxFile& model,
                                           const ModelOptions& options) const {
  CacheKey out;
  out.facts = "mlos-weight-cache 1\nengine onnxruntime " + std::string(OrtGetApiBase()->GetVersionString()) +
              "\ncpu " + CpuIdentity() + "\noptions optimization=" + LevelName(options.optimization) + "\n";
  const fs::path path(model_path);
  if (!AddSource(path.parent_path(), path.filename().string(), true, &out.facts)) return std::nullopt;
  for (const std::string& location : model.external_files) {
    if (!AddSource(path.parent_path(), location, false, &out.facts)) return std::nullopt;
  }
  out.name = Hex(TextDigest(out.facts, 0)) + Hex(TextDigest(out.facts, 1));
  return out;
}

bool WeightCache::IsIntact(const std::string& folder, CacheEntry* entry) const {
  bool moved = false;
  for (CachedFile& file : entry->files) {
    const std::string path = folder + "/" + file.name;
    const std::optional<Stamp> now = StampOf(path);
    if (!now || now->size != file.stamp.size) return false;
    if (*now == file.stamp) continue;
    if (DigestOf(path) != file.digest) return false;
    file.stamp = *now;
    moved = true;
  }
  // A copy or a backup that was brought back: the same bytes, so they need not be read next time.
  if (moved && may_write_) {
    const std::string record = folder + "/" + kRecord;
    const std::string next = record + ".next";
    if (!WriteDurably(next, FormatEntry(*entry)) || std::rename(next.c_str(), record.c_str()) != 0) {
      Log(2, "cannot renew " + record + ": " + std::strerror(errno));
    }
  }
  return true;
}

WeightCache::Found WeightCache::Find(const CacheKey& key) const {
  const std::string folder = root_ + "/" + key.name;
  const std::string record = folder + "/" + kRecord;
  const std::optional<std::string> text = ReadSmallFile(record, kMaxRecord);
  if (!text) return {};
  CacheEntry entry;
  if (!ParseEntry(*text, &entry) || entry.facts != key.facts) {
    Log(2, folder + " is damaged; it will be made anew");
    return {};
  }
  Found out;
  if (!entry.unusable.empty()) {
    out.state = State::kUnusable;
    out.why = entry.unusable;
    return out;
  }
  if (!IsIntact(folder, &entry)) {
    Log(2, folder + " is damaged: its files are not what was written; it will be made anew");
    return {};
  }
  for (const CachedFile& file : entry.files) {
    if (file.name == kGraph) out.graph = folder + "/" + file.name;
    out.bytes += file.stamp.size;
  }
  if (out.graph.empty()) return {};
  out.state = State::kReady;
  if (may_write_) Touch(record);
  // The host marks it as used; without the file it would only be thought older than it is.
  if (!build_root_.empty()) (void)WriteDurably(build_root_ + "/" + kUsePrefix + key.name, "");
  return out;
}

std::optional<FileLock> WeightCache::Lock(const CacheKey& key) const {
  std::error_code error;
  const std::string folder = build_root() + "/" + kLocks;
  fs::create_directories(folder, error);
  if (error) {
    errno = error.value();
    return std::nullopt;
  }
  // A few files for all entries, so that none need be removed, which could not be done safely.
  return FileLock::Take(folder + "/" + key.name.substr(0, 2), kLockTimeoutMs);
}

std::string WeightCache::MakeScratch() const {
  std::string pattern = build_root() + "/" + kScratchPrefix + "XXXXXX";
  return mkdtemp(pattern.data()) == nullptr ? std::string() : pattern;
}

std::optional<std::string> WeightCache::Publish(const CacheKey& key, const std::string& scratch,
                                                const std::string& unusable) const {
  const auto failed = [](const std::string& what) { return what + ": " + std::strerror(errno); };
  CacheEntry entry{key.facts, unusable, {}};
  for (const char* name : {kGraph, kWeights}) {
    const std::string path = scratch + "/" + name;
    if (!unusable.empty()) {
      std::remove(path.c_str());
      continue;
    }
    // A graph without a weight of a kilobyte has no second file.
    if (name == kWeights && !StampOf(path)) continue;
    if (!Seal(path)) return failed("cannot write " + path);
    const std::optional<uint64_t> digest = DigestOf(path);
    const std::optional<Stamp> stamp = StampOf(path);
    if (!digest || !stamp) return failed("cannot read " + path);
    entry.files.push_back({name, *stamp, *digest});
  }
  const std::string record = scratch + "/" + kRecord;
  if (!WriteDurably(record, FormatEntry(entry)) || !SyncFolder(scratch))
    return failed("cannot write " + record);
  const std::string folder = build_root() + "/" + key.name;
  const std::string old = scratch + "-old";
  // Sessions that mapped the old files keep them.
  const bool replaced = std::rename(folder.c_str(), old.c_str()) == 0;
  if (std::rename(scratch.c_str(), folder.c_str()) != 0) return failed("cannot rename to " + folder);
  if (replaced) Discard(old);
  if (!SyncFolder(build_root())) return failed("cannot sync " + build_root());
  return std::nullopt;
}

void WeightCache::Discard(const std::string& scratch) const {
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
}

std::string WeightCache::Locate(const std::string& graph) const {
  if (build_root_.empty() || !graph.starts_with(build_root_ + "/") || StampOf(graph)) return graph;
  return root_ + graph.substr(build_root_.size());
}

void WeightCache::Collect(const std::string& keep) const {
  if (!build_root_.empty()) return;  // the host does
  std::vector<Candidate> entries;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(root_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kLocks) continue;
    std::error_code unknown;
    if (name.starts_with(kScratchPrefix)) {
      const auto changed = fs::last_write_time(it->path(), unknown);
      if (!unknown && fs::file_time_type::clock::now() - changed > kScratchLife) Discard(it->path().string());
      continue;
    }
    const std::optional<Stamp> record = StampOf((it->path() / kRecord).string());
    entries.push_back({it->path().string(), FolderBytes(it->path()), record ? record->mtime_ns : 0});
    total += entries.back().bytes;
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.used_ns < b.used_ns; });
  for (const Candidate& entry : entries) {
    if (total <= limit_bytes_) return;
    if (fs::path(entry.folder).filename() == keep) continue;
    // Renamed first, so that nobody finds half an entry.
    const std::string doomed =
        root_ + "/" + kScratchPrefix + "old-" + fs::path(entry.folder).filename().string();
    if (std::rename(entry.folder.c_str(), doomed.c_str()) != 0) continue;
    Discard(doomed);
    total -= entry.bytes;
    Log(1, "removed " + entry.folder + ", which was used longest ago, to keep the limit");
  }
}

void WeightCache::Log(int32_t level, const std::string& message) const {
  plugin_.Log(level, ("weight cache: " + message).c_str());
}

}  // namespace mlos_ort
