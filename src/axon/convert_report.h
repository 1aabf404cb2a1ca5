// SPDX-License-Identifier: Apache-2.0
// What `axon convert` says, for people and as JSON.
#pragma once

#include <string>
#include <vector>

#include "base/json_writer.h"
#include "convert/convert.h"

namespace mlos::axon {

// What a conversion did, or (--explain) would do.
struct ConvertReport {
  convert::ConvertResult result;
  std::string folder;                    // where the files are; "" when nothing was written
  std::vector<std::string> other_tasks;  // that the checkpoint has the tensors for too
  std::vector<std::string> copied;       // files that were copied to `folder`
  uint64_t graph_bytes = 0;
  uint64_t side_car_bytes = 0;
  uint64_t copied_bytes = 0;
  std::string int8;  // Int8Text, when it was quantised
  double int8_max_abs = 0, int8_cosine = 0;
  std::string check;      // CheckText; "" when it was not tried
  double convert_ms = 0;  // reading the headers and building the graphs
};

std::string ExplainText(const ConvertReport& report);
// One paragraph: what was written where.
std::string ConvertedText(const ConvertReport& report);
void WriteConvertJson(const ConvertReport& report, JsonWriter* json);

// Every architecture and its tasks.
std::string ArchitecturesText();
void WriteArchitecturesJson(JsonWriter* json);

}  // namespace mlos::axon
