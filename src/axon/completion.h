// SPDX-License-Identifier: Apache-2.0
// What may stand where the cursor is: verbs, flags, their values, installed models. Read from the declared options, so that it
// cannot fall behind them.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace mlos::axon {

// `words`: what was typed after "axon", the last one being completed (possibly empty). Candidates that begin with it.
std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const std::function<std::vector<std::string>()>& installed_models);

// The script for "bash", "zsh" or "fish"; empty for another shell.
std::string CompletionScript(const std::string& shell);

}  // namespace mlos::axon
