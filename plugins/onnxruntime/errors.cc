// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

namespace mlos_ort {
namespace {

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

bool IsOutOfMemory(const std::string& message) {
  return Has(message, "Failed to allocate memory") || Has(message, "bad_alloc");
}

// The engine reports these under several codes, so the words decide.
bool IsMissingFeature(const std::string& message) {
  return Has(message, "Could not find an implementation") ||
         Has(message, "is not a registered function/op") || Has(message, "Unsupported model IR version") ||
         Has(message, "under development") || Has(message, "opset") ||
         Has(message, "escapes model directory") || Has(message, "Absolute path not allowed");
}

}  // namespace

smi_code LoadCode(OrtErrorCode code, const std::string& message) {
  if (IsOutOfMemory(message)) return SMI_OUT_OF_MEMORY;
  switch (code) {
    case ORT_NO_SUCHFILE:
      return SMI_NOT_FOUND;
    case ORT_NOT_IMPLEMENTED:
      return SMI_UNSUPPORTED;
    case ORT_NO_MODEL:
    case ORT_INVALID_PROTOBUF:
      return SMI_CORRUPT;
    default:
      return IsMissingFeature(message) ? SMI_UNSUPPORTED : SMI_CORRUPT;
  }
}

smi_code RunCode(OrtErrorCode code, const std::string& message) {
  if (IsOutOfMemory(message)) return SMI_OUT_OF_MEMORY;
  if (code == ORT_NOT_IMPLEMENTED) return SMI_UNSUPPORTED;
  // A node that fails was given what it cannot work on: an index outside a table, shapes that do not go together.
  if (code == ORT_INVALID_ARGUMENT || Has(message, "while running")) return SMI_BAD_INPUT;
  return SMI_INTERNAL;
}

}  // namespace mlos_ort
