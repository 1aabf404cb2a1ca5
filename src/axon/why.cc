// SPDX-License-Identifier: Apache-2.0
// axon why: where the time of a request went.
#include "axon/why.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "axon/format.h"
#include "axon/verbs.h"

namespace mlos::axon {
namespace {

namespace dom = simdjson::dom;

constexpr int kBarWidth = 40;

struct WhyOptions {
  std::string request_id;
  bool json = false;
};

std::string TextAt(dom::element object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? Plain(text) : "";
}

double NumberAt(dom::element object, const char* key) {
  double number = 0;
  return object[key].get(number) == simdjson::SUCCESS ? number : 0;
}

std::string Ms(double us) {
  char text[32];
  std::snprintf(text, sizeof(text), us < 1000 ? "%.3f ms" : us < 100'000 ? "%.2f ms" : "%.0f ms", us / 1000);
  return text;
}

std::string Whole(double number) { return std::to_string(static_cast<uint64_t>(std::max(number, 0.0))); }

// Right-aligned in `width`.
std::string Right(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

std::string Head(dom::element root) {
  std::string out = "request " + TextAt(root, "request_id") + "  " + TextAt(root, "outcome") + "  " +
                    Ms(NumberAt(root, "total_us")) + "\n";
  std::string model = TextAt(root, "model_id");
  if (const std::string version = TextAt(root, "model_version"); !version.empty())
    model += "  version " + version;
  out += "model    " + model + "\n";
  out += "priority " + TextAt(root, "priority");
  if (const double deadline_us = NumberAt(root, "deadline_us"); deadline_us != 0)
    out += "  deadline " + Ms(deadline_us);
  const double requests = NumberAt(root, "batch_requests");
  if (requests > 0) {
    out += "  batch of " + Plural(static_cast<uint64_t>(requests), "request");
    const double threads = NumberAt(root, "threads");
    out += "  " + (threads > 0 ? Plural(static_cast<uint64_t>(threads), "thread") + " of " +
                                     Whole(NumberAt(root, "slots"))
                               : std::string("threads as loaded"));
    if (const double predicted_us = NumberAt(root, "predicted_us"); predicted_us > 0)
      out += "  predicted " + Ms(predicted_us);
  } else {
    out += "  never started";
  }
  out += "\n";
  if (const std::string waited = TextAt(root, "waited_for"); !waited.empty())
    out += "waited   " + waited + "\n";
  if (const std::string message = TextAt(root, "message"); !message.empty())
    out += "error    " + message + "\n";
  return out;
}

}  // namespace

Result<std::string> ExplainRequest(const std::string& json) {
  dom::parser parser;
  dom::element root;
  dom::array stages;
  if (parser.parse(json).get(root) != simdjson::SUCCESS || root["stages"].get(stages) != simdjson::SUCCESS) {
    return DataLoss("mlos-core answered something that is no request's trace");
  }
  std::string out = Head(root) + "\n";
  double sum_us = 0;
  for (dom::element stage : stages) sum_us += NumberAt(stage, "us");
  for (dom::element stage : stages) {
    const double us = NumberAt(stage, "us");
    if (us <= 0) continue;
    const double share = sum_us > 0 ? us / sum_us : 0;
    std::string name = TextAt(stage, "stage");
    name.resize(std::max<size_t>(name.size(), 9), ' ');
    char percent[16];
    std::snprintf(percent, sizeof(percent), "%5.1f %%", share * 100);
    out += name + Right(Ms(us), 12) + "  " + percent + "  " +
           std::string(static_cast<size_t>(share * kBarWidth + 0.5), '#') + "\n";
  }
  return out + "together " + Right(Ms(sum_us), 12) + "\n";
}

namespace {

int Why(Context& context, const WhyOptions& options) {
  const Result<std::string> json = context.Core().Request(options.request_id);
  if (!json.ok()) return context.Fail(json.status());
  if (options.json) {
    context.Print(*json + "\n");
    return kExitOk;
  }
  const Result<std::string> text = ExplainRequest(*json);
  if (!text.ok()) return context.Fail(text.status());
  context.Print(*text);
  return kExitOk;
}

}  // namespace

void AddWhy(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("why", "Show where the time of a request went");
  auto options = std::make_shared<WhyOptions>();
  verb->add_option("REQUEST-ID", options->request_id, "X-Request-Id of the answer, or request_id in it")
      ->required();
  verb->add_flag("--json", options->json, "as mlos-core tells it");
  verb->callback([&context, options, exit_status] { *exit_status = Why(context, *options); });
}

}  // namespace mlos::axon
