// SPDX-License-Identifier: Apache-2.0
#include "chat.h"

#include <algorithm>
#include <exception>
#include <mutex>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"
#pragma GCC diagnostic pop

namespace mlos::llama {
namespace {

std::string TokenText(const Vocabulary& vocabulary, int32_t token) {
  const char* text = token < 0 ? nullptr : llama_vocab_get_text(vocabulary.engine(), token);
  return text == nullptr ? "" : text;
}

jinja::value Text(const smi_str& text, bool from_user) {
  auto value =
      jinja::mk_val<jinja::value_string>(std::string(text.data == nullptr ? "" : text.data, text.size));
  if (from_user) value->mark_input();
  return value;
}

bool HoldsControlToken(const std::string& text, const Vocabulary& vocabulary) {
  std::vector<int32_t> parsed;
  std::vector<int32_t> plain;
  if (!vocabulary.Tokenize(text, false, Special::kParse, &parsed).ok()) return true;
  if (!vocabulary.Tokenize(text, false, Special::kPlainText, &plain).ok()) return true;
  return parsed != plain;
}

// A template that writes the begin token itself, before a tokenizer that adds one too, would make two.
void DropSecondBegin(const Vocabulary& vocabulary, std::vector<int32_t>* tokens) {
  const int32_t begin = vocabulary.begin_token();
  if (begin >= 0 && tokens->size() > 1 && (*tokens)[0] == begin && (*tokens)[1] == begin)
    tokens->erase(tokens->begin());
}

}  // namespace

struct ChatTemplate::Program {
  std::string source;
  std::string begin_token;
  std::string end_token;
  jinja::program program;
  std::mutex mutex;  // the engine does not say that one program can run twice at a time
};

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program_(std::move(program)) {}
ChatTemplate::~ChatTemplate() = default;

Status ChatTemplate::Parse(const std::string& source, const Vocabulary& vocabulary,
                           std::unique_ptr<ChatTemplate>* made) {
  auto program = std::make_unique<Program>();
  program->source = source;
  program->begin_token = TokenText(vocabulary, llama_vocab_bos(vocabulary.engine()));
  program->end_token = TokenText(vocabulary, llama_vocab_eos(vocabulary.engine()));
  try {
    jinja::lexer lexer;
    program->program = jinja::parse_from_tokens(lexer.tokenize(source));
  } catch (const std::exception& error) {
    return Fail(SMI_UNSUPPORTED, "the chat template in the model file cannot be parsed: ", error.what());
  }
  made->reset(new ChatTemplate(std::move(program)));
  return Ok();
}

Status ChatTemplate::Render(const smi_message* messages, uint32_t n_messages,
                            std::vector<PromptPart>* parts) const {
  std::lock_guard lock(program_->mutex);
  try {
    jinja::context context(program_->source);
    auto list = jinja::mk_val<jinja::value_array>();
    for (uint32_t i = 0; i < n_messages; ++i) {
      auto message = jinja::mk_val<jinja::value_object>();
      message->insert("role", Text(messages[i].role, true));
      message->insert("content", Text(messages[i].content, true));
      list->push_back(message);
    }
    context.set_val("messages", list);
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
    context.set_val("bos_token", jinja::mk_val<jinja::value_string>(program_->begin_token));
    context.set_val("eos_token", jinja::mk_val<jinja::value_string>(program_->end_token));
    jinja::runtime runtime(context);
    const auto rendered = jinja::runtime::gather_string_parts(runtime.execute(program_->program));
    for (const jinja::string_part& part : rendered->val_str.parts)
      parts->push_back({part.val, part.is_input});
  } catch (const std::exception& error) {
    return Fail(SMI_BAD_INPUT, "the model's chat template refuses the messages: ", error.what());
  }
  return Ok();
}

Status TokenizePrompt(const std::vector<PromptPart>& parts, const Vocabulary& vocabulary,
                      std::vector<int32_t>* tokens) {
  const bool hostile = std::any_of(parts.begin(), parts.end(), [&](const PromptPart& part) {
    return part.from_user && HoldsControlToken(part.text, vocabulary);
  });
  if (!hostile) {
    std::string whole;
    for (const PromptPart& part : parts) whole += part.text;
    if (Status status = vocabulary.Tokenize(whole, true, Special::kParse, tokens); !status.ok())
      return status;
  } else {
    if (vocabulary.begin_token() >= 0) tokens->push_back(vocabulary.begin_token());
    for (const PromptPart& part : parts) {
      const Special special = part.from_user ? Special::kPlainText : Special::kParse;
      if (Status status = vocabulary.Tokenize(part.text, false, special, tokens); !status.ok()) return status;
    }
  }
  DropSecondBegin(vocabulary, tokens);
  return Ok();
}

}  // namespace mlos::llama
