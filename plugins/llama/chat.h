// SPDX-License-Identifier: Apache-2.0
// The chat template a model file carries: a Jinja program that turns messages into the prompt the model was trained on.
// It is run as it is; there is no other template to fall back to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "smi/smi.h"
#include "status.h"
#include "vocabulary.h"

namespace mlos::llama {

// A stretch of a rendered prompt.
struct PromptPart {
  std::string text;
  bool from_user = false;  // out of a message, not out of the template
};

class ChatTemplate {
 public:
  // SMI_UNSUPPORTED, with the reason, when the source is no template this engine understands.
  static Status Parse(const std::string& source, const Vocabulary& vocabulary,
                      std::unique_ptr<ChatTemplate>* made);
  ~ChatTemplate();

  // The prompt for `messages` with the assistant's turn opened. SMI_BAD_INPUT with the template's own words when it refuses
  // them ("Conversation roles must alternate"). Any thread.
  Status Render(const smi_message* messages, uint32_t n_messages, std::vector<PromptPart>* parts) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

// Tokens of a rendered prompt. The whole of it is tokenized as one text, as the model's framework does it, unless a message
// holds the text of a control token ("<|im_end|>"): then messages are tokenized by themselves as plain text, so that they
// cannot end their own turn.
Status TokenizePrompt(const std::vector<PromptPart>& parts, const Vocabulary& vocabulary,
                      std::vector<int32_t>* tokens);

}  // namespace mlos::llama
