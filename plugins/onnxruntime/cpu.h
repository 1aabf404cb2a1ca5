// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mlos_ort {

// What decides how the engine packs weights: the processor's maker, family, model and features, on one line without line
// breaks; the same for every core and every process of a machine.
std::string CpuIdentity();

}  // namespace mlos_ort
