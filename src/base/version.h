// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mlos {

// "0.1.0": of every program of this build; comes from CMakeLists.txt.
inline constexpr const char* kVersion = MLOS_VERSION;

}  // namespace mlos
