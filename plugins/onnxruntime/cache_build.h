// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "onnxruntime_cxx_api.h"
#include "weight_cache.h"

namespace mlos_ort {

// Loads the model from its own files, has the engine write its optimised graph and packed weights into the cache, and opens
// the result. `own` options are for the model's files, `cached` for the entry. The session on the entry, or, when the entry
// could not be made (logged; remembered when it is the model's fault), the one on the model's own files, with *cached_path
// empty. Throws Ort::Exception when the model does not load at all. Under the entry's lock.
std::unique_ptr<Ort::Session> BuildEntry(const WeightCache& cache, const CacheKey& key,
                                         const smi_plugin& plugin, const std::string& model_path,
                                         const Ort::SessionOptions& own, const Ort::SessionOptions& cached,
                                         std::string* cached_path);

}  // namespace mlos_ort
