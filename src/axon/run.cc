// SPDX-License-Identifier: Apache-2.0
// axon run: one question to a model, registering it first when mlos-core does not know it.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "axon/answer.h"
#include "axon/format.h"
#include "axon/registration.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "os/terminal.h"

namespace mlos::axon {
namespace {

struct RunOptions {
  std::string ref;
  std::string input;
  std::optional<uint32_t> max_tokens;
  std::optional<double> temperature;
  std::optional<uint64_t> seed;
  bool raw = false;
  bool json = false;
};

// The prompt, from the command line or from standard input.
Result<std::string> ReadInput(const RunOptions& options) {
  if (!options.input.empty() && options.input != "-") return options.input;
  if (options.input.empty() && os::IsTerminal(os::StandardStream::kInput)) {
    return InvalidArgument("give a prompt or a JSON object, or pipe one in");
  }
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty()) return InvalidArgument("standard input is empty: a prompt or a JSON object is wanted");
  return text;
}

// What mlos-core knows about the model, after it was registered if need be.
Result<client::ModelInfo> FindOrRegister(Context& context, const client::CoreClient& core,
                                         const std::string& text) {
  MLOS_ASSIGN_OR_RETURN(const package::ModelRef ref, package::ParseModelRef(text));
  const Result<package::InstalledPackage> package = context.FindInstalled(text);
  const std::string id = package.ok() ? package->ref.ToString() : ref.ToString();
  Result<client::ModelInfo> known = core.Get(id);
  if (known.ok() || known.status().code() != Code::kNotFound) return known;
  MLOS_RETURN_IF_ERROR(package.status());
  context.Note("registering " + id);
  MLOS_RETURN_IF_ERROR(RegisterPackage(core, *package).status().WithContext(id));
  return core.Get(id);
}

void WriteSampling(const RunOptions& options, JsonWriter* json) {
  if (options.max_tokens) json->Key("max_tokens").Uint(*options.max_tokens);
  if (options.temperature) json->Key("temperature").Double(*options.temperature);
  if (options.seed) json->Key("seed").Uint(*options.seed);
}

std::string GenerationBody(const RunOptions& options, const client::ModelInfo& model,
                           const std::string& prompt) {
  JsonWriter json;
  json.BeginObject();
  if (model.has_chat_template && !options.raw) {
    json.Key("messages").BeginArray().BeginObject().Key("role").String("user").Key("content").String(prompt);
    json.EndObject().EndArray();
  } else {
    json.Key("prompt").String(prompt);
  }
  WriteSampling(options, &json);
  json.Key("stream").Bool(true).EndObject();
  return std::move(json).Take();
}

int Generate(Context& context, const client::CoreClient& core, const RunOptions& options,
             const client::ModelInfo& model, const std::string& prompt) {
  bool at_line_start = true;
  const auto print = [&](std::string_view piece) {
    if (!options.json) context.Print(piece);
    if (!piece.empty()) at_line_start = piece.back() == '\n';
    return true;
  };
  const Result<client::Generated> result =
      core.Generate(model.id, GenerationBody(options, model, prompt), print);
  if (!options.json && !at_line_start) context.Print("\n");
  if (!result.ok()) return context.Fail(result.status());
  for (const std::string& warning : result->warnings) context.Warn("axon: " + Plain(warning));
  if (options.json) {
    JsonWriter json;
    json.BeginObject().Key("model_id").String(model.id).Key("text").String(result->text);
    json.Key("prompt_tokens")
        .Uint(result->prompt_tokens)
        .Key("tokens_generated")
        .Uint(result->completion_tokens);
    json.Key("finish_reason").String(result->finish_reason);
    json.Key("prompt_ms").Double(result->prompt_ms).Key("eval_ms").Double(result->eval_ms).EndObject();
    context.Print(json.str() + "\n");
    return kExitOk;
  }
  char line[160];
  const double speed =
      result->eval_ms > 0 ? static_cast<double>(result->completion_tokens) * 1000 / result->eval_ms : 0;
  std::snprintf(line, sizeof(line), "%llu prompt tokens, %llu generated, %.1f tokens/s",
                static_cast<unsigned long long>(result->prompt_tokens),
                static_cast<unsigned long long>(result->completion_tokens), speed);
  if (os::IsTerminal(os::StandardStream::kError)) context.Note(line);
  return kExitOk;
}

int Run(Context& context, const RunOptions& options) {
  if (const auto ref = package::ParseModelRef(options.ref); !ref.ok())
    return context.FailUsage(ref.status().message());
  const Result<std::string> input = ReadInput(options);
  if (!input.ok()) return context.FailUsage(input.status().message());
  const client::CoreClient core = context.Core();
  const Result<client::ModelInfo> model = FindOrRegister(context, core, options.ref);
  if (!model.ok()) return context.Fail(model.status());
  const bool is_json = input->starts_with("{");
  if (model->generates && !is_json) return Generate(context, core, options, *model, *input);
  std::string body = *input;
  if (!is_json) {
    if (!model->accepts_text) {
      return context.Fail(InvalidArgument(
          model->id + " takes tensors, not text: give a JSON object such as '{\"input\": [1, 2]}'"));
    }
    JsonWriter json;
    json.BeginObject().Key("inputs").String(*input).EndObject();
    body = std::move(json).Take();
  }
  const Result<std::string> answer = core.Infer(model->id, body);
  if (!answer.ok()) return context.Fail(answer.status());
  context.Print(options.json ? *answer + "\n" : SummarizeAnswer(*answer));
  return kExitOk;
}

}  // namespace

void AddRun(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb = app.add_subcommand("run", "Ask a model: a prompt, a sentence or a JSON object");
  auto options = std::make_shared<RunOptions>();
  verb->add_option("MODEL", options->ref, "NAMESPACE/NAME[@REVISION]")->required();
  verb->add_option("INPUT", options->input,
                   "prompt, sentence or JSON object; - or nothing: from standard input");
  verb->add_option("--max-tokens", options->max_tokens, "tokens to generate at most");
  verb->add_option("--temperature", options->temperature, "0: always the likeliest token");
  verb->add_option("--seed", options->seed, "the same seed, the same text");
  verb->add_flag("--raw", options->raw, "the prompt as it is, without the model's chat template");
  verb->add_flag("--json", options->json, "print the whole answer as JSON");
  verb->callback([&context, options, exit_status] { *exit_status = Run(context, *options); });
}

}  // namespace mlos::axon
