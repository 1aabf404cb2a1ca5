// SPDX-License-Identifier: Apache-2.0
#include "cache_build.h"

#include <cerrno>
#include <cstring>

#include "canned.h"
#include "model.h"
#include "onnxruntime_session_options_config_keys.h"

namespace mlos_ort {
namespace {

// Smaller weights stay in the graph's file.
constexpr char kMinExternalBytes[] = "1024";

Ort::SessionOptions SavingInto(const std::string& scratch, const Ort::SessionOptions& own) {
  Ort::SessionOptions out = own.Clone();
  out.SetOptimizedModelFilePath((scratch + "/" + WeightCache::kGraph).c_str());
  out.AddConfigEntry(kOrtSessionOptionsOptimizedModelExternalInitializersFileName, WeightCache::kWeights);
  out.AddConfigEntry(kOrtSessionOptionsOptimizedModelExternalInitializersMinSizeInBytes, kMinExternalBytes);
  out.AddConfigEntry(kOrtSessionOptionsSavePrePackedConstantInitializers, "1");
  // It would warn that the graph is for this machine alone.
  out.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
  return out;
}

bool SamePorts(const std::vector<Port>& a, const std::vector<Port>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Port& x, const Port& y) {
    return x.name == y.name && x.type == y.type && x.shape == y.shape && x.dim_names == y.dim_names;
  });
}

// Why the entry cannot stand in for the model; empty when it can.
std::string Compare(Ort::Session& own, Ort::Session& entry, const smi_plugin& plugin) {
  const std::vector<Port> inputs = ReadInputs(own);
  const std::vector<Port> outputs = ReadOutputs(own, plugin);
  if (!SamePorts(inputs, ReadInputs(entry)) || !SamePorts(outputs, ReadOutputs(entry, plugin))) {
    return "its optimised graph declares other inputs or outputs";
  }
  const std::string difference = CompareOnCannedInputs(own, entry, inputs, outputs);
  return difference.empty() ? "" : "its optimised graph answers differently: " + difference;
}

class Builder {
 public:
  Builder(const WeightCache& cache, const CacheKey& key, const smi_plugin& plugin)
      : cache_(cache), key_(key), plugin_(plugin) {}
  ~Builder() {
    if (!scratch_.empty()) cache_.Discard(scratch_);
  }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  bool Begin() {
    scratch_ = cache_.MakeScratch();
    if (scratch_.empty())
      Warn(std::string("cannot write to ") + cache_.build_root() + ": " + std::strerror(errno));
    return !scratch_.empty();
  }
  const std::string& scratch() const { return scratch_; }

  // False when the entry is not there afterwards.
  bool Publish(const std::string& unusable) {
    const std::optional<std::string> problem = cache_.Publish(key_, scratch_, unusable);
    if (problem) {
      Warn(*problem);
      return false;
    }
    scratch_.clear();
    cache_.Collect(key_.name);
    if (!unusable.empty()) Warn("the model cannot be cached: " + unusable);
    return unusable.empty();
  }
  void Warn(const std::string& message) const {
    plugin_.Log(2, ("weight cache: " + message + "; the model's own files are used").c_str());
  }

 private:
  const WeightCache& cache_;
  const CacheKey& key_;
  const smi_plugin& plugin_;
  std::string scratch_;
};

}  // namespace

std::unique_ptr<Ort::Session> BuildEntry(const WeightCache& cache, const CacheKey& key,
                                         const smi_plugin& plugin, const std::string& model_path,
                                         const Ort::SessionOptions& own, const Ort::SessionOptions& cached,
                                         std::string* cached_path) {
  cached_path->clear();
  Builder builder(cache, key, plugin);
  const auto plain = [&] { return std::make_unique<Ort::Session>(plugin.env, model_path.c_str(), own); };
  if (!builder.Begin()) return plain();
  std::unique_ptr<Ort::Session> session;
  try {
    session =
        std::make_unique<Ort::Session>(plugin.env, model_path.c_str(), SavingInto(builder.scratch(), own));
  } catch (const Ort::Exception& e) {
    // Either the model is bad, which the plain way says as well, or it cannot be saved, perhaps because the disk is full.
    session = plain();
    builder.Warn(std::string("the engine cannot save the model: ") + e.what());
    return session;
  }
  std::string why;
  std::unique_ptr<Ort::Session> entry;
  try {
    entry = std::make_unique<Ort::Session>(plugin.env,
                                           (builder.scratch() + "/" + WeightCache::kGraph).c_str(), cached);
    why = Compare(*session, *entry, plugin);
  } catch (const Ort::Exception& e) {
    builder.Warn(std::string("what the engine saved does not load: ") + e.what());
    return session;
  }
  if (!why.empty()) entry.reset();
  if (!builder.Publish(why)) return session;
  *cached_path = cache.build_root() + "/" + key.name + "/" + WeightCache::kGraph;
  return entry;
}

}  // namespace mlos_ort
