// SPDX-License-Identifier: Apache-2.0
#include "axon/completion.h"

#include <algorithm>
#include <memory>
#include <set>

#include "axon/verbs.h"

namespace mlos::axon {
namespace {

bool TakesModel(const std::string& verb) {
  static const std::set<std::string> kVerbs = {"info", "verify", "uninstall", "register", "unregister",
                                               "run",  "load",   "stop",      "versions"};
  return kVerbs.count(verb) != 0;
}

const CLI::App* FindVerb(const CLI::App& app, const std::string& word) {
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->check_name(word)) return verb;
  }
  return nullptr;
}

std::vector<std::string> Flags(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
    for (const std::string& name : option->get_snames()) out.push_back("-" + name);
  }
  return out;
}

}  // namespace

std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const std::function<std::vector<std::string>()>& installed_models) {
  const std::string current = words.empty() ? "" : words.back();
  const CLI::App* verb = nullptr;
  for (size_t i = 0; i + 1 < words.size() && verb == nullptr; ++i) verb = FindVerb(app, words[i]);
  std::vector<std::string> candidates;
  if (current.starts_with("-")) {
    candidates = Flags(app);
    if (verb != nullptr) {
      const std::vector<std::string> own = Flags(*verb);
      candidates.insert(candidates.end(), own.begin(), own.end());
    }
  } else if (verb == nullptr) {
    for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
      candidates.push_back(each->get_name());
    }
  } else if (verb->get_name() == "completion") {
    candidates = {"bash", "zsh", "fish"};
  } else if (TakesModel(verb->get_name())) {
    candidates = installed_models();
  }
  std::erase_if(candidates, [&](const std::string& candidate) { return !candidate.starts_with(current); });
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") {
    // "@" and "=" break words in bash: they are put together again, and what stands before them is cut from the answers.
    return R"(# axon completion for bash: source <(axon completion bash)
_axon() {
  local line="${COMP_LINE:0:$COMP_POINT}" current words
  read -r -a words <<< "$line"
  [[ "$line" == *' ' ]] && words+=("")
  current="${words[-1]}"
  local IFS=$'\n'
  COMPREPLY=($(axon __complete -- "${words[@]:1}" 2>/dev/null))
  local head="${current%"${COMP_WORDS[COMP_CWORD]}"}"
  if [[ -n "$head" && "$current" == *[@:=]* ]]; then COMPREPLY=("${COMPREPLY[@]#"$head"}"); fi
}
complete -o default -F _axon axon
)";
  }
  if (shell == "zsh") {
    return R"(#compdef axon
# axon completion for zsh: source <(axon completion zsh)
_axon() {
  local -a answers
  answers=("${(@f)$(axon __complete -- "${(@)words[2,$CURRENT]}" 2>/dev/null)}")
  if [[ -n "${answers[1]}" ]]; then compadd -a answers; else _files; fi
}
compdef _axon axon
)";
  }
  if (shell == "fish") {
    return R"(# axon completion for fish: axon completion fish | source
function __axon_complete
  set -l words (commandline -opc) (commandline -ct)
  axon __complete -- $words[2..-1] 2>/dev/null
end
complete -c axon -a '(__axon_complete)'
)";
  }
  return "";
}

void AddCompletion(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb =
      app.add_subcommand("completion", "Print a script that completes verbs, flags and installed models");
  auto shell = std::make_shared<std::string>();
  verb->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([&context, shell, exit_status] {
    context.Print(CompletionScript(*shell));
    *exit_status = kExitOk;
  });
}

}  // namespace mlos::axon
