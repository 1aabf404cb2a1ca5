// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/vocabulary.h"

#include <algorithm>

#include "convert/gguf/sentence_pieces.h"
#include "os/file.h"
#include "preprocess/json_file.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;
namespace fs = std::filesystem;

constexpr uint64_t kMaxTokenizerBytes = 256'000'000;
constexpr uint64_t kMaxTemplateBytes = 4'000'000;
constexpr float kUnusedScore = -10000;

// Roles as tokenizer_config.json ("bos_token") and GGUF ("tokenizer.ggml.bos_token_id") name them.
struct Role {
  const char* file;
  const char* gguf;
};
constexpr Role kRoles[] = {{"bos", "bos"},     {"eos", "eos"}, {"unk", "unknown"}, {"sep", "seperator"},
                           {"pad", "padding"}, {"cls", "cls"}, {"mask", "mask"}};  // the key is spelled so

std::string_view Content(dom::element element) {
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) return text;
  return element.at_key("content").get(text) == simdjson::SUCCESS ? text : std::string_view();
}

void ReadTemplates(dom::element config, Vocabulary* out) {
  dom::element element;
  if (config.at_key("chat_template").get(element) != simdjson::SUCCESS) return;
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) {
    out->chat_templates.emplace("", text);
    return;
  }
  dom::array list;
  if (element.get(list) != simdjson::SUCCESS) return;
  for (const dom::element item : list) {
    std::string_view name;
    if (item.at_key("name").get(name) != simdjson::SUCCESS ||
        item.at_key("template").get(text) != simdjson::SUCCESS)
      continue;
    out->chat_templates.emplace(name == "default" ? "" : name, text);
  }
}

Status ReadTokenizerConfig(const fs::path& dir, bool has_template, Vocabulary* out) {
  if (!os::Exists(dir / "tokenizer_config.json")) return OkStatus();
  MLOS_ASSIGN_OR_RETURN(const std::string json,
                        os::ReadFile(dir / "tokenizer_config.json", kMaxTokenizerBytes));
  MLOS_ASSIGN_OR_RETURN(const preprocess::JsonDocument document,
                        preprocess::ParseJson(json, "tokenizer_config.json"));
  for (const Role& role : kRoles) {
    dom::element element;
    if (document.root.at_key(std::string(role.file) + "_token").get(element) != simdjson::SUCCESS) continue;
    const auto id = out->Find(Content(element));
    if (id) out->special.emplace(role.gguf, *id);
  }
  ReadTemplates(document.root, out);
  if (has_template) return OkStatus();
  bool flag = false;
  if (document.root.at_key("add_bos_token").get(flag) == simdjson::SUCCESS) out->add_bos = flag;
  if (document.root.at_key("add_eos_token").get(flag) == simdjson::SUCCESS) out->add_eos = flag;
  return OkStatus();
}

Status ReadTemplateFile(const fs::path& dir, Vocabulary* out) {
  if (!os::Exists(dir / "chat_template.jinja")) return OkStatus();
  MLOS_ASSIGN_OR_RETURN(const std::string text, os::ReadFile(dir / "chat_template.jinja", kMaxTemplateBytes));
  out->chat_templates[""] = text;
  return OkStatus();
}

// Ids where tokenizer_config.json does not name a token.
Status ReadConfigIds(const Config& config, Vocabulary* out) {
  for (const Role& role : kRoles) {
    const std::string key = std::string(role.file) + "_token_id";
    MLOS_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, config.Ints(key, {}, -1, INT32_MAX));
    if (ids.empty() || ids[0] < 0 || static_cast<size_t>(ids[0]) >= out->tokens.size()) continue;
    out->special.emplace(role.gguf, static_cast<uint32_t>(ids[0]));
  }
  return OkStatus();
}

Result<std::optional<Vocabulary>> ReadSentencePieces(const fs::path& dir) {
  if (!os::Exists(dir / "tokenizer.model")) return std::optional<Vocabulary>();
  MLOS_ASSIGN_OR_RETURN(const std::string bytes, os::ReadFile(dir / "tokenizer.model", kMaxTokenizerBytes));
  MLOS_ASSIGN_OR_RETURN(Vocabulary pieces, ParseSentencePieces(std::as_bytes(std::span(bytes))));
  return std::optional<Vocabulary>(std::move(pieces));
}

Status FillUp(int64_t rows, Vocabulary* out) {
  if (static_cast<int64_t>(out->tokens.size()) > rows) {
    return DataLoss("the tokenizer has " + std::to_string(out->tokens.size()) + " tokens, the embedding " +
                    std::to_string(rows) + " rows");
  }
  out->tokens.resize(static_cast<size_t>(rows));
  out->types.resize(out->tokens.size(), TokenType::kNormal);
  out->scores.resize(out->tokens.size(), 0);
  for (size_t i = 0; i < out->tokens.size(); ++i) {
    if (out->tokens[i].empty())
      out->Set(i, "[PAD" + std::to_string(i) + "]", TokenType::kUnused, kUnusedScore);
  }
  return OkStatus();
}

}  // namespace

void Vocabulary::Set(size_t id, std::string token, TokenType type, float score) {
  if (id >= tokens.size()) {
    tokens.resize(id + 1);
    types.resize(id + 1, TokenType::kNormal);
    scores.resize(id + 1, 0);
  }
  tokens[id] = std::move(token);
  types[id] = type;
  scores[id] = score;
}

std::optional<uint32_t> Vocabulary::Find(std::string_view token) const {
  if (token.empty()) return std::nullopt;
  const auto it = std::find(tokens.begin(), tokens.end(), token);
  if (it == tokens.end()) return std::nullopt;
  return static_cast<uint32_t>(it - tokens.begin());
}

Result<Vocabulary> ReadVocabulary(const fs::path& dir, const Config& config, int64_t rows) {
  Vocabulary out;
  const bool has_json = os::Exists(dir / "tokenizer.json");
  if (has_json) {
    MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(dir / "tokenizer.json", kMaxTokenizerBytes));
    // Some repositories have a file of that name that is not SentencePiece's; then tokenizer.json must do.
    const auto pieces = ReadSentencePieces(dir);
    const bool usable = pieces.ok() && pieces->has_value();
    MLOS_ASSIGN_OR_RETURN(out, ParseTokenizerJson(json, usable ? &**pieces : nullptr));
  } else {
    MLOS_ASSIGN_OR_RETURN(std::optional<Vocabulary> pieces, ReadSentencePieces(dir));
    if (!pieces) return NotFound("'" + dir.string() + "' has neither tokenizer.json nor tokenizer.model");
    out = std::move(*pieces);
  }
  MLOS_RETURN_IF_ERROR(ReadTemplateFile(dir, &out));
  MLOS_RETURN_IF_ERROR(ReadTokenizerConfig(dir, has_json, &out));
  MLOS_RETURN_IF_ERROR(FillUp(rows, &out));
  MLOS_RETURN_IF_ERROR(ReadConfigIds(config, &out));
  return out;
}

void AddVocabulary(const Vocabulary& v, GgufMetadata* metadata) {
  const auto key = [](const std::string& name) { return "tokenizer.ggml." + name; };
  metadata->SetString(key("model"), v.model);
  metadata->SetString(key("pre"), v.pre);
  metadata->SetStrings(key("tokens"), v.tokens);
  std::vector<int32_t> types;
  for (const TokenType type : v.types) types.push_back(static_cast<int32_t>(type));
  metadata->SetI32s(key("token_type"), types);
  if (v.model == "llama") {
    metadata->SetF32s(key("scores"), v.scores);
    metadata->SetBool(key("add_space_prefix"), v.add_space_prefix);
  } else {
    metadata->SetStrings(key("merges"), v.merges);
  }
  for (const auto& [role, id] : v.special) metadata->SetU32(key(role + "_token_id"), id);
  metadata->SetBool(key("add_bos_token"), v.add_bos);
  metadata->SetBool(key("add_eos_token"), v.add_eos);
  std::vector<std::string> names;
  for (const auto& [name, text] : v.chat_templates) {
    metadata->SetString("tokenizer.chat_template" + (name.empty() ? "" : "." + name), text);
    if (!name.empty()) names.push_back(name);
  }
  if (!names.empty()) metadata->SetStrings("tokenizer.chat_templates", names);
}

}  // namespace mlos::convert
