// SPDX-License-Identifier: Apache-2.0
// axon ps and axon top: what mlos-core has loaded, what it takes and how it does.
#include <algorithm>
#include <memory>

#include "axon/process_table.h"
#include "axon/verbs.h"
#include "os/terminal.h"

namespace mlos::axon {
namespace {

struct PsOptions {
  bool json = false;
  bool all = false;
};

struct TopOptions {
  bool once = false;
  bool all = false;
  double interval_s = 1;
};

int Ps(Context& context, const PsOptions& options) {
  const Result<std::string> json = context.Core().Processes();
  if (!json.ok()) return context.Fail(json.status());
  if (options.json) {
    context.Print(*json + "\n");
    return kExitOk;
  }
  const Result<client::ProcessList> list = client::ParseProcesses(*json);
  if (!list.ok()) return context.Fail(list.status());
  context.Print(ProcessTable(*list, options.all));
  return kExitOk;
}

Result<std::string> Frame(Context& context, bool all) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, context.Core().Processes());
  MLOS_ASSIGN_OR_RETURN(client::ProcessList list, client::ParseProcesses(json));
  // What works first, then what takes most.
  std::ranges::stable_sort(list.models, std::ranges::greater(), [](const client::ProcessInfo& m) {
    return std::pair(m.running + m.queued, m.private_bytes.value_or(m.lease_private_bytes.value_or(0)));
  });
  return ProcessTable(list, all);
}

// Over the last frame, so that nothing flickers: each line clears its rest, the end clears what is below.
std::string OverTheLast(const std::string& frame, int columns) {
  std::string out = "\x1b[H";
  for (size_t at = 0; at < frame.size();) {
    const size_t end = std::min(frame.find('\n', at), frame.size());
    // A line that wraps would push the others down.
    out += frame.substr(at, std::min(end - at, static_cast<size_t>(columns))) + "\x1b[K\r\n";
    at = end + 1;
  }
  return out + "\x1b[J";
}

int Top(Context& context, const TopOptions& options) {
  const bool screen = !options.once && os::IsTerminal(os::StandardStream::kOutput);
  if (!screen) {
    const Result<std::string> frame = Frame(context, options.all);
    if (!frame.ok()) return context.Fail(frame.status());
    context.Print(*frame);
    return kExitOk;
  }
  const os::KeyReader keys;
  // The other screen, without a cursor.
  context.Print("\x1b[?1049h\x1b[?25l");
  Status failed;
  while (!context.Interrupted()) {
    const Result<std::string> frame = Frame(context, options.all);
    if (!frame.ok()) {
      failed = frame.status();
      break;
    }
    context.Print(OverTheLast(*frame + "\nq quits\n", os::TerminalColumns(os::StandardStream::kOutput)));
    const char key = keys.Wait(static_cast<int>(options.interval_s * 1000));
    if (key == 'q' || key == 'Q') break;
  }
  context.Print("\x1b[?25h\x1b[?1049l");
  if (!failed.ok() && !context.Interrupted()) return context.Fail(failed);
  return kExitOk;
}

}  // namespace

void AddPs(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("ps", "Show the loaded models: memory, queues, latencies");
  auto options = std::make_shared<PsOptions>();
  verb->add_flag("-a,--all", options->all, "registered models that are not loaded, too");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Ps(context, *options); });
}

void AddTop(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("top", "The same as ps, again and again; q quits");
  auto options = std::make_shared<TopOptions>();
  verb->add_flag("-a,--all", options->all, "registered models that are not loaded, too");
  verb->add_flag("--once", options->once, "print once and end; so it is too when the output is no terminal");
  verb->add_option("-n,--interval", options->interval_s, "seconds between two looks (default 1)")
      ->check(CLI::Range(0.1, 3600.0));
  verb->callback([&context, options, exit_status] { *exit_status = Top(context, *options); });
}

}  // namespace mlos::axon
