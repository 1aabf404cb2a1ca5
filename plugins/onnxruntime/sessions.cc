// SPDX-License-Identifier: Apache-2.0
#include "sessions.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "cache_build.h"
#include "onnxruntime_session_options_config_keys.h"
#include "plugin.h"

namespace mlos_ort {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
// Not in the headers that are used here. Longer than most nodes that do not share their work take, so that the threads are awake for
// the next one that does; a thread whose CPU others want gives it back soon.
constexpr const char* kIntraOpSpinDurationUs = "session.intra_op.spin_duration_us";
constexpr const char* kSpinUs = "200";
// Below, a model loads in a few milliseconds and its copy costs less than the bookkeeping.
constexpr uint64_t kCacheFromBytes = 8 * kMiB;

uint64_t WeightBytes(const OnnxFile& file) { return file.file_bytes + file.external_bytes; }

// What an entry takes on disk at most: the weights, 16-bit ones as 32-bit ones, and packed copies of all.
uint64_t EntryBytes(const OnnxFile& file) { return 2 * (WeightBytes(file) + file.half_bytes) + 16 * kMiB; }

bool Wants(const ModelOptions& options, const OnnxFile& file) {
  using Use = ModelOptions::Cache;
  if (options.cache == Use::kOff || !options.prepack) return false;
  return options.cache == Use::kOn || WeightBytes(file) >= kCacheFromBytes;
}

// Why an entry is not even tried; empty when it is.
std::string WhyNotBuild(const WeightCache& cache, const OnnxFile& file) {
  const uint64_t bytes = EntryBytes(file);
  if (bytes > cache.limit_bytes()) return "the model is larger than the cache may grow";
  if (FreeBytes(cache.build_root()) < bytes + 64 * kMiB)
    return "the disk of " + cache.build_root() + " is nearly full";
  return "";
}

}  // namespace

WeightSource ChooseSource(const smi_plugin& plugin, const std::string& path, const OnnxFile& file,
                          const ModelOptions& options) {
  WeightSource out;
  if (!plugin.cache || !Wants(options, file)) return out;
  out.key = plugin.cache->KeyOf(path, file, options);
  if (!out.key) return out;
  out.found = plugin.cache->Find(*out.key);
  if (out.found.state == WeightCache::State::kReady) out.kind = WeightSource::Kind::kCached;
  if (out.found.state == WeightCache::State::kAbsent && plugin.cache->may_build()) {
    out.kind = WeightSource::Kind::kBuild;
  }
  return out;
}

Ort::SessionOptions BaseOptions(const ModelOptions& options, uint32_t threads, bool own_threads) {
  Ort::SessionOptions out;
  if (own_threads) {
    // One thread means the calling one alone.
    out.SetIntraOpNumThreads(static_cast<int>(threads));
    out.SetInterOpNumThreads(1);
    const bool spin = options.spin_while_running && threads > 1;
    out.AddConfigEntry(kOrtSessionOptionsConfigAllowIntraOpSpinning, spin ? "1" : "0");
    if (spin) {
      out.AddConfigEntry(kOrtSessionOptionsConfigForceSpinningStop, "1");
      out.AddConfigEntry(kIntraOpSpinDurationUs, kSpinUs);
    }
  } else {
    out.DisablePerSessionThreads();
  }
  out.SetExecutionMode(ORT_SEQUENTIAL);
  out.SetGraphOptimizationLevel(options.optimization);
  if (!options.prepack) out.AddConfigEntry(kOrtSessionOptionsConfigDisablePrepacking, "1");
  if (options.arena == ModelOptions::Arena::kOff) {
    out.DisableCpuMemArena();
    out.DisableMemPattern();
  }
  return out;
}

uint32_t Sessions::MaxFurther(uint32_t threads, uint64_t weight_bytes, bool cached) {
  if (threads <= 1 || (!cached && weight_bytes > kMaxCopiedWeights)) return 0;
  // 1, 2, 4, ... below `threads`.
  return std::min<uint32_t>(static_cast<uint32_t>(std::bit_width(threads - 1)), kMaxFurther);
}

Sessions::Sessions(const smi_plugin& plugin, const smi_load_params& params, const ModelOptions& options,
                   const OnnxFile& file)
    : plugin_(plugin), options_(options) {
  const auto pool = static_cast<uint32_t>(plugin.threads);
  const uint32_t wanted = std::min<uint32_t>(params.n_threads, 1024);
  threads_ = wanted == 0 ? pool : std::min(wanted, pool);
  own_threads_ = threads_ < pool || options.spin_while_running;
  main_ = OpenMain(std::string(View(params.path)), file);
  n_further_ = MaxFurther(threads_, WeightBytes(file), cached_);
}

std::unique_ptr<Ort::Session> Sessions::OpenMain(const std::string& path, const OnnxFile& file) {
  graph_ = path;
  WeightSource source = ChooseSource(plugin_, path, file, options_);
  std::optional<FileLock> lock;
  if (source.kind == WeightSource::Kind::kBuild) {
    lock = plugin_.cache->Lock(*source.key);
    // Another process may have made it while this one waited.
    if (lock) source.found = plugin_.cache->Find(*source.key);
    if (!lock) Warn("cannot lock in " + plugin_.cache->build_root() + ": " + std::strerror(errno));
  }
  if (source.found.state == WeightCache::State::kReady) {
    if (auto session = OpenEntry(source.found)) return session;
    if (plugin_.cache->may_build()) lock = plugin_.cache->Lock(*source.key);
  }
  if (lock && source.found.state != WeightCache::State::kUnusable) return Build(path, file, *source.key);
  return OpenPlain(path);
}

std::unique_ptr<Ort::Session> Sessions::OpenPlain(const std::string& path) const {
  return std::make_unique<Ort::Session>(plugin_.env, path.c_str(),
                                        BaseOptions(options_, threads_, own_threads_));
}

Ort::SessionOptions Sessions::CachedOptions(uint32_t threads, bool own_threads) const {
  Ort::SessionOptions out = BaseOptions(options_, threads, own_threads);
  // It was optimised when it was saved.
  out.SetGraphOptimizationLevel(ORT_DISABLE_ALL);
  return out;
}

std::unique_ptr<Ort::Session> Sessions::OpenEntry(const WeightCache::Found& found) {
  try {
    auto session = std::make_unique<Ort::Session>(plugin_.env, found.graph.c_str(),
                                                  CachedOptions(threads_, own_threads_));
    graph_ = found.graph;
    cached_ = true;
    return session;
  } catch (const Ort::Exception& e) {
    Warn(found.graph + " does not load: " + e.what());
    return nullptr;
  }
}

std::unique_ptr<Ort::Session> Sessions::Build(const std::string& path, const OnnxFile& file,
                                              const CacheKey& key) {
  const std::string why_not = WhyNotBuild(*plugin_.cache, file);
  if (!why_not.empty()) {
    Warn(why_not);
    return OpenPlain(path);
  }
  std::string made;
  auto session = BuildEntry(*plugin_.cache, key, plugin_, path, BaseOptions(options_, threads_, own_threads_),
                            CachedOptions(threads_, own_threads_), &made);
  cached_ = !made.empty();
  if (cached_) graph_ = made;
  return session;
}

void Sessions::Warn(const std::string& message) const {
  plugin_.Log(2, ("weight cache: " + message + "; the model's own files are used").c_str());
}

Ort::Session& Sessions::For(uint32_t n_threads) {
  if (n_threads == 0 || n_threads >= threads_ || n_further_ == 0) return *main_;
  const auto slot = std::min<uint32_t>(static_cast<uint32_t>(std::bit_width(n_threads)) - 1, n_further_ - 1);
  Further& further = further_[slot];
  Ort::Session* session = further.ready.load(std::memory_order_acquire);
  if (session == nullptr) session = Make(further, 1U << slot);
  return session == nullptr ? *main_ : *session;
}

Ort::Session* Sessions::Make(Further& slot, uint32_t n_threads) {
  const std::unique_lock lock(slot.making, std::try_to_lock);
  if (!lock.owns_lock() || slot.failed) return nullptr;
  if (slot.session != nullptr) return slot.session.get();
  try {
    const Ort::SessionOptions options =
        cached_ ? CachedOptions(n_threads, true) : BaseOptions(options_, n_threads, true);
    const std::string graph = cached_ ? plugin_.cache->Locate(graph_) : graph_;
    slot.session = std::make_unique<Ort::Session>(plugin_.env, graph.c_str(), options);
  } catch (const Ort::Exception& e) {
    slot.failed = true;
    plugin_.Log(2, ("no session of " + std::to_string(n_threads) +
                    " threads, the usual one runs instead: " + e.what())
                       .c_str());
    return nullptr;
  }
  slot.ready.store(slot.session.get(), std::memory_order_release);
  return slot.session.get();
}

}  // namespace mlos_ort
