// SPDX-License-Identifier: Apache-2.0
// JSON of what is about memory: /ps and the verbs load, unload and latest. docs/formats/http.md has the fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "serving/service.h"

namespace mlos::frontend {

// The body of POST /models/{id}/load; empty = nothing said. kInvalidArgument or kUnprocessable name the key.
Result<serving::LoadRequest> DecodeLoad(std::string_view body, const std::string& model_id);

std::string EncodeProcesses(const serving::ProcessReport& report, int64_t now_ns);
std::string EncodeLoaded(const serving::ModelStatus& model);
std::string EncodeUnloaded(std::string_view model_id, const serving::UnloadReport& report);
std::string EncodeLatest(const serving::ModelStatus& model);
std::string EncodeModelReady(const serving::ModelStatus& model);

}  // namespace mlos::frontend
