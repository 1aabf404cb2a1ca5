// SPDX-License-Identifier: Apache-2.0
// The engine's sessions of one model: one that calls use by default, and one for each smaller number of threads that calls
// asked for. All map the same weights when the model is in the weight cache.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "onnx_file.h"
#include "onnxruntime_cxx_api.h"
#include "options.h"
#include "weight_cache.h"

struct smi_plugin;
struct smi_load_params;

namespace mlos_ort {

// Where a model's weights will come from, decided without loading it.
struct WeightSource {
  enum class Kind {
    kPlain,  // the model's own files
    kCached,
    kBuild,  // the model's own files, writing the cache meanwhile; then as kCached
  };
  Kind kind = Kind::kPlain;
  std::optional<CacheKey> key;  // unless kPlain
  WeightCache::Found found;     // when kCached
};
WeightSource ChooseSource(const smi_plugin& plugin, const std::string& path, const OnnxFile& file,
                          const ModelOptions& options);

// Bytes of weights that a further session without the cache would copy; above, calls do not get one.
inline constexpr uint64_t kMaxCopiedWeights = 64 << 20;

class Sessions {
 public:
  // Throws Ort::Exception. `plugin` must outlive this.
  Sessions(const smi_plugin& plugin, const smi_load_params& params, const ModelOptions& options,
           const OnnxFile& file);
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  Ort::Session& main() { return *main_; }
  // Any thread. A session that uses at most `n_threads` threads, the calling one included: the main one when it does or
  // n_threads is 0; otherwise one of 1, 2, 4, ... threads, made on first use by the caller. The main one also while another
  // thread makes that session, or when it cannot be made (told once in the log).
  Ort::Session& For(uint32_t n_threads);

  bool cached() const { return cached_; }
  // How many further sessions For() may make.
  static uint32_t MaxFurther(uint32_t threads, uint64_t weight_bytes, bool cached);

 private:
  static constexpr size_t kMaxFurther = 10;
  struct Further {
    std::mutex making;
    std::atomic<Ort::Session*> ready{nullptr};
    std::unique_ptr<Ort::Session> session;  // guarded by making
    bool failed = false;                    // guarded by making
  };

  std::unique_ptr<Ort::Session> OpenMain(const std::string& path, const OnnxFile& file);
  std::unique_ptr<Ort::Session> OpenPlain(const std::string& path) const;
  // Null, and logged, when it does not load.
  std::unique_ptr<Ort::Session> OpenEntry(const WeightCache::Found& found);
  std::unique_ptr<Ort::Session> Build(const std::string& path, const OnnxFile& file, const CacheKey& key);
  Ort::SessionOptions CachedOptions(uint32_t threads, bool own_threads) const;
  void Warn(const std::string& message) const;
  Ort::Session* Make(Further& slot, uint32_t n_threads);

  // Constant after construction.
  const smi_plugin& plugin_;
  const ModelOptions options_;
  uint32_t threads_ = 0;  // of the main session
  bool own_threads_ = false;
  std::string graph_;  // what further sessions load
  bool cached_ = false;
  uint32_t n_further_ = 0;
  std::unique_ptr<Ort::Session> main_;

  std::array<Further, kMaxFurther> further_;  // 1, 2, 4, ... threads
};

// For sessions of `threads` threads (the calling one included); own_threads: not those of the process-wide pool.
Ort::SessionOptions BaseOptions(const ModelOptions& options, uint32_t threads, bool own_threads);

}  // namespace mlos_ort
