// SPDX-License-Identifier: Apache-2.0
// What standard input, output and error are connected to.
#pragma once

namespace mlos::os {

enum class StandardStream { kInput = 0, kOutput = 1, kError = 2 };

bool IsTerminal(StandardStream stream);

// Columns of the terminal; 80 when it does not say, or is none.
int TerminalColumns(StandardStream stream);

}  // namespace mlos::os
