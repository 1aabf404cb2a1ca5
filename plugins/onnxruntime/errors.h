// SPDX-License-Identifier: Apache-2.0
// From ONNX Runtime's exceptions and codes to SMI's. Nothing is thrown past the functions of the plugin's table: each runs
// inside Guard.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "failure.h"
#include "onnxruntime_cxx_api.h"
#include "smi/plugin_util.h"

namespace mlos_ort {

// What an error means while a model is loaded, and while it runs.
smi_code LoadCode(OrtErrorCode code, const std::string& message);
smi_code RunCode(OrtErrorCode code, const std::string& message);

using CodeFn = smi_code (*)(OrtErrorCode, const std::string&);

// Runs `body`, which returns smi_code or nothing, and turns whatever it throws into a code and *error.
template <typename Body>
smi_code Guard(smi_error* error, CodeFn engine_code, const Body& body) noexcept {
  try {
    return body();
  } catch (const Failure& e) {
    return smi_fail(error, e.code(), "%s", e.what());
  } catch (const Ort::Exception& e) {
    return smi_fail(error, engine_code(e.GetOrtErrorCode(), e.what()), "%s", e.what());
  } catch (const std::bad_alloc&) {
    return smi_fail(error, SMI_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return smi_fail(error, SMI_INTERNAL, "%s", e.what());
  } catch (...) {
    return smi_fail(error, SMI_INTERNAL, "an exception of unknown type");
  }
}

}  // namespace mlos_ort
