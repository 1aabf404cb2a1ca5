// SPDX-License-Identifier: Apache-2.0
#include "plugin/weight_cache.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/clock.h"
#include "base/xxh64.h"
#include "os/mapped_file.h"
#include "plugin/plugin_library.h"

namespace mlos::plugin {
namespace {

namespace fs = std::filesystem;

constexpr char kMaking[] = "making";
constexpr char kHost[] = "mlos-";
constexpr char kUse[] = "use-";
constexpr char kScratch[] = "tmp-";
constexpr char kRecord[] = "entry";
constexpr uint64_t kMaxRecordBytes = 1 << 20;
constexpr uint64_t kMaxDigestedGraph = 32 << 20;
constexpr int64_t kScratchLifeNs = 3'600'000'000'000;

// What an entry takes at most for each byte it was made from: the weights, 16-bit ones as 32-bit ones, and packed copies of all.
constexpr uint64_t kMostTimes = 4;
constexpr uint64_t kMostMore = 64 << 20;

// What is in it need not outlive a crash.
Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directory(path, error);
  return error ? PermissionDenied("cannot make folder '" + path.string() + "': " + error.message())
               : OkStatus();
}

Result<uint64_t> DigestOf(const fs::path& path) {
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile file, os::MappedFile::Open(path));
  return Xxh64(file.bytes());
}

bool IsOneOwnFile(const fs::path& path) {
  const Result<os::FileInfo> info = os::StatNoFollow(path);
  return info.ok() && info->is_regular && info->link_count == 1;
}

Result<CacheRecord> ReadRecord(const fs::path& entry) {
  if (!IsOneOwnFile(entry / kRecord)) return NotFound("there is no record");
  MLOS_ASSIGN_OR_RETURN(const std::string text, os::ReadFile(entry / kRecord, kMaxRecordBytes));
  return ParseCacheRecord(text);
}

// OK when the facts are those of the model that the worker was given.
Status CheckSources(const CacheRecord& record, const fs::path& model_path) {
  if (record.sources[0].name != model_path.filename()) {
    return InvalidArgument("it is for '" + record.sources[0].name + "', the model is '" +
                           model_path.filename().string() + "'");
  }
  for (const CacheSource& source : record.sources) {
    const fs::path path = model_path.parent_path() / source.name;
    MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(path));
    const bool graph = &source == record.sources.data();
    std::string digest = "-";
    if (graph && info.size_bytes <= kMaxDigestedGraph) {
      MLOS_ASSIGN_OR_RETURN(const uint64_t value, DigestOf(path));
      digest = HexOf(value);
    }
    if (!info.is_regular || info.size_bytes != source.size_bytes || info.inode != source.inode ||
        info.modified_unix_ns != source.modified_unix_ns || digest != source.digest) {
      return InvalidArgument("it was made from another '" + source.name + "' than the model's");
    }
  }
  return OkStatus();
}

Status CheckSize(const CacheRecord& record, uint64_t limit_bytes) {
  uint64_t from = 0;
  uint64_t to = 0;
  for (const CacheSource& source : record.sources) from += source.size_bytes;
  for (const CacheFile& file : record.files) to += file.size_bytes;
  if (to <= limit_bytes && to <= kMostTimes * from + kMostMore) return OkStatus();
  return TooLarge("it has " + std::to_string(to) + " bytes, made from " + std::to_string(from));
}

// Whether the files are what the record says; one that was only moved or copied is told in *moved and stamped anew.
bool IsIntact(const fs::path& entry, CacheRecord* record, bool* moved) {
  for (CacheFile& file : record->files) {
    const Result<os::FileInfo> info = os::StatNoFollow(entry / file.name);
    if (!info.ok() || !info->is_regular || info->size_bytes != file.size_bytes) return false;
    if (file.Matches(*info)) continue;
    const Result<uint64_t> digest = DigestOf(entry / file.name);
    if (!digest.ok() || *digest != file.digest) return false;
    file.Restamp(*info);
    *moved = true;
  }
  return true;
}

// The files go from the worker's folder into one that it cannot reach. They are as it left them: sealed, and open for writing
// nowhere.
Status Take(const fs::path& made, const fs::path& own, CacheRecord* record) {
  for (CacheFile& file : record->files) {
    const fs::path path = own / file.name;
    if (file.name == kRecord) return InvalidArgument("the record is no file of itself");
    MLOS_RETURN_IF_ERROR(os::Rename(made / file.name, path));
    MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::StatNoFollow(path));
    // Renaming it has changed the time of its last change.
    file.changed_unix_ns = info.changed_unix_ns;
    if (!file.Matches(info) || info.link_count != 1) {
      return InvalidArgument("'" + file.name + "' is not the file of its record");
    }
    MLOS_RETURN_IF_ERROR(os::SetMode(path, 0444));
    MLOS_ASSIGN_OR_RETURN(const bool written, os::HasWriters(path));
    if (written) return InvalidArgument("'" + file.name + "' is still open for writing");
    MLOS_ASSIGN_OR_RETURN(const os::FileInfo sealed, os::StatNoFollow(path));
    file.Restamp(sealed);
  }
  MLOS_RETURN_IF_ERROR(os::WriteFile(own / kRecord, FormatCacheRecord(*record)));
  return os::SyncDirectory(own);
}

void RemoveDeadHosts(const fs::path& making) {
  const auto names = os::ListDirectory(making);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(kHost)) continue;
    const auto lock = os::FileLock::Acquire(making / name / "lock", os::FileLock::Kind::kExclusive, false);
    if (lock.ok()) (void)os::RemoveTree(making / name);
  }
}

uint64_t FolderBytes(const fs::path& folder) {
  uint64_t bytes = 0;
  const auto names = os::ListDirectory(folder);
  if (!names.ok()) return 0;
  for (const std::string& name : *names) {
    const auto info = os::StatNoFollow(folder / name);
    if (info.ok()) bytes += info->size_bytes;
  }
  return bytes;
}

struct Candidate {
  std::string name;
  uint64_t bytes = 0;
  int64_t used_unix_ns = 0;
};

// Oldest use first.
std::vector<Candidate> EntriesIn(const fs::path& root) {
  std::vector<Candidate> out;
  const auto names = os::ListDirectory(root);
  if (!names.ok()) return out;
  for (const std::string& name : *names) {
    if (!IsCacheEntryName(name)) continue;
    const auto record = os::StatNoFollow(root / name / kRecord);
    out.push_back({name, FolderBytes(root / name), record.ok() ? record->modified_unix_ns : 0});
  }
  std::ranges::sort(out, {}, &Candidate::used_unix_ns);
  return out;
}

}  // namespace

Result<std::shared_ptr<WeightCache>> WeightCache::Open(const fs::path& dir, uint64_t limit_bytes,
                                                       std::set<std::string> plugins) {
  std::shared_ptr<WeightCache> out(new WeightCache(dir, limit_bytes, std::move(plugins)));
  for (const std::string& plugin : out->plugins_) MLOS_RETURN_IF_ERROR(os::MakeDirectories(dir / plugin));
  const fs::path making = dir / kMaking;
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(making));
  MLOS_ASSIGN_OR_RETURN(const auto all,
                        os::FileLock::Acquire(making / "lock", os::FileLock::Kind::kExclusive));
  RemoveDeadHosts(making);
  out->own_.emplace(making);
  if (out->own_->path().empty()) return PermissionDenied("cannot make a folder in '" + making.string() + "'");
  MLOS_ASSIGN_OR_RETURN(out->lock_,
                        os::FileLock::Acquire(out->own_->path() / "lock", os::FileLock::Kind::kExclusive));
  return out;
}

fs::path WeightCache::NewPath(const char* what) {
  return own_->path() / (what + std::to_string(++last_number_));
}

Result<std::unique_ptr<WeightCache::Draft>> WeightCache::NewDraft() {
  auto draft = std::make_unique<Draft>(NewPath("draft-"));
  MLOS_RETURN_IF_ERROR(MakeFolder(draft->folder()));
  return draft;
}

OptionList WeightCache::LocalOptions() const {
  return {{"weight_cache_dir", dir_.string()}, {"weight_cache_limit", std::to_string(limit_bytes_ >> 20)}};
}

OptionList WeightCache::WorkerOptions(const Draft* draft) const {
  OptionList out = LocalOptions();
  out.emplace_back("weight_cache_build_dir",
                   (draft != nullptr ? draft->folder() : own_->path() / "none").string());
  return out;
}

std::unique_ptr<WeightCache::Turn> WeightCache::TakeTurn(const fs::path& model) {
  MutexLock lock(mu_);
  while (turns_.contains(model.string())) turn_ended_.Wait(mu_);
  turns_.insert(model.string());
  return std::make_unique<Turn>(*this, model.string());
}

void WeightCache::EndTurn(const std::string& key) {
  MutexLock lock(mu_);
  turns_.erase(key);
  turn_ended_.NotifyAll();
}

Status WeightCache::TakeIn(const Draft& draft, const std::string& plugin, const fs::path& model_path) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(draft.folder()));
  const fs::path root = EntriesOf(plugin);
  std::string made;
  bool marked = false;
  for (const std::string& name : names) {
    if (!marked && name.starts_with(kUse) && IsCacheEntryName(name.substr(4))) {
      MarkUsed(root / name.substr(4));
      marked = true;
    }
    if (!IsCacheEntryName(name)) continue;
    if (!made.empty()) return InvalidArgument("it has made more than one entry");
    made = name;
  }
  if (made.empty()) return OkStatus();
  MLOS_RETURN_IF_ERROR(MoveIn(draft.folder() / made, made, plugin, model_path));
  Collect(root, made);
  return OkStatus();
}

Status WeightCache::MoveIn(const fs::path& made, const std::string& name, const std::string& plugin,
                           const fs::path& model_path) {
  const Result<os::FileInfo> folder = os::StatNoFollow(made);
  if (!folder.ok() || !folder->is_directory) return InvalidArgument("its entry is no folder");
  // In a folder of the host's own nothing changes any more while it is looked at.
  const Draft own(NewPath("in-"));
  MLOS_RETURN_IF_ERROR(MakeFolder(own.folder()));
  MLOS_RETURN_IF_ERROR(os::Rename(made / kRecord, own.folder() / kRecord));
  MLOS_ASSIGN_OR_RETURN(CacheRecord record, ReadRecord(own.folder()));
  if (CacheEntryName(record.facts) != name)
    return InvalidArgument("its entry has the name of another model's");
  MLOS_RETURN_IF_ERROR(CheckSources(record, model_path));
  MLOS_RETURN_IF_ERROR(CheckSize(record, limit_bytes_));
  MLOS_RETURN_IF_ERROR(os::RemoveFile(own.folder() / kRecord));
  MLOS_RETURN_IF_ERROR(Take(made, own.folder(), &record));
  return Publish(own.folder(), name, record, EntriesOf(plugin));
}

Status WeightCache::Publish(const fs::path& own, const std::string& name, const CacheRecord& record,
                            const fs::path& root) {
  bool moved = false;
  if (Result<CacheRecord> there = ReadRecord(root / name);
      there.ok() && there->facts == record.facts && IsIntact(root / name, &*there, &moved) && !moved) {
    return OkStatus();
  }
  const Draft old(NewPath("out-"));
  if (os::Exists(root / name)) MLOS_RETURN_IF_ERROR(os::Rename(root / name, old.folder()));
  MLOS_RETURN_IF_ERROR(os::Rename(own, root / name));
  return os::SyncDirectory(root);
}

void WeightCache::MarkUsed(const fs::path& entry) const {
  Result<CacheRecord> record = ReadRecord(entry);
  bool moved = false;
  if (!record.ok() || !IsIntact(entry, &*record, &moved)) return;
  // A copy or a backup that was brought back: with a new record its files need not be read every time.
  if (moved) {
    (void)os::WriteFileAtomically(entry / kRecord, FormatCacheRecord(*record));
  } else {
    (void)os::Touch(entry / kRecord);
  }
}

void WeightCache::Collect(const fs::path& root, const std::string& keep) {
  const std::vector<Candidate> entries = EntriesIn(root);
  uint64_t total = 0;
  for (const Candidate& entry : entries) total += entry.bytes;
  for (const Candidate& entry : entries) {
    if (total <= limit_bytes_) break;
    if (entry.name == keep) continue;
    // Renamed first, so that nobody finds half an entry.
    const Draft doomed(NewPath("out-"));
    if (os::Rename(root / entry.name, doomed.folder()).ok()) total -= entry.bytes;
  }
  const auto names = os::ListDirectory(root);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(kScratch)) continue;
    const auto info = os::StatNoFollow(root / name);
    if (info.ok() && Clock::Real().UnixNs() - info->modified_unix_ns > kScratchLifeNs)
      (void)os::RemoveTree(root / name);
  }
}

void AddCache(const WeightCache& cache, const fs::path& library, const WeightCache::Draft* draft,
              WorkerSettings* settings, OptionList* options) {
  const OptionList more = cache.WorkerOptions(draft);
  options->insert(options->end(), more.begin(), more.end());
  settings->read_paths.push_back(cache.EntriesOf(NameInFile(library)));
  if (draft != nullptr) settings->write_paths.push_back(draft->folder());
}

}  // namespace mlos::plugin
