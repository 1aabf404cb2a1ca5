// SPDX-License-Identifier: Apache-2.0
// The JSON of the control routes (docs/formats/http.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/http/server.h"
#include "serving/service.h"

namespace mlos::frontend {

// As serving::ModelStateName; the door's implementation is not the front end's to link.
std::string_view StateName(serving::ModelState state);

// POST /models/register. kInvalidArgument: not JSON; kUnprocessable: an unknown key, a value that is no string, no model_id.
Result<serving::RegisterRequest> DecodeRegister(std::string_view body);

std::string EncodeHealth(std::string_view version, const HttpConfig::Runtime& runtime, bool ready,
                         int64_t unix_s);
std::string EncodeStats(const serving::ServerStats& stats, uint16_t http_port);
std::string EncodePlugins(const std::vector<serving::PluginStatus>& plugins);
// What is in force: versions, plugins, and for each loaded model where it runs and in what sandbox.
std::string EncodeDoctor(std::string_view version, serving::Service& service);
std::string EncodeModels(const std::vector<serving::ModelStatus>& models);
// GET /models/{id}: everything the service knows, inputs and outputs included.
std::string EncodeModel(const serving::ModelStatus& model);
std::string EncodeRegistered(const serving::ModelStatus& model, std::string_view manifest_path);
std::string EncodeUnregistered(std::string_view model_id);
std::string EncodeScan(const serving::ScanResult& result);

}  // namespace mlos::frontend
