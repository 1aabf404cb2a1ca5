// SPDX-License-Identifier: Apache-2.0
// tokenizer.json: which of llama.cpp's two tokenizers it is, and its tokens and merges.
#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "convert/gguf/vocabulary.h"
#include "preprocess/json_file.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;

constexpr int64_t kMaxTokens = 1 << 24;
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, SentencePiece's space
constexpr float kAddedScore = -1000;

Status Refuse(const std::string& what) {
  return Unimplemented("tokenizer.json: " + what + ", which llama.cpp's tokenizers do not do");
}

std::string_view Text(dom::element element, const char* key) {
  std::string_view out;
  return element.at_key(key).get(out) == simdjson::SUCCESS ? out : std::string_view();
}

bool Flag(dom::element element, const char* key, bool fallback) {
  bool out = fallback;
  return element.at_key(key).get(out) == simdjson::SUCCESS ? out : fallback;
}

// The parts of a component that may be a Sequence of others.
std::vector<dom::element> Parts(dom::element root, const char* key, const char* list) {
  dom::element part;
  if (root.at_key(key).get(part) != simdjson::SUCCESS || part.is_null()) return {};
  dom::array array;
  if (Text(part, "type") != "Sequence" || part.at_key(list).get(array) != simdjson::SUCCESS) return {part};
  return {array.begin(), array.end()};
}

struct Split {
  const char* pattern;
  const char* plain;            // llama.cpp's name when merges are always applied
  const char* ignoring_merges;  // when a word that is a token is taken whole
};
// The expressions as tokenizer.json files have them.
constexpr Split kSplits[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "smaug-bpe", "llama-bpe"},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     "dbrx", ""},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2", ""},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "", "tekken"},
};

// Pre-tokenizers of byte-level BPE: an optional Split or Digits before ByteLevel.
Result<std::string> BytePreTokenizer(const std::vector<dom::element>& parts, bool ignores_merges) {
  bool bytes = false;
  bool gpt2_words = false;
  std::string name;
  for (const dom::element part : parts) {
    const std::string_view type = Text(part, "type");
    if (type == "ByteLevel") {
      if (Flag(part, "add_prefix_space", true)) return Refuse("ByteLevel with add_prefix_space");
      bytes = true;
      gpt2_words = Flag(part, "use_regex", true);
    } else if (type == "Split") {
      dom::element pattern;
      const bool has = part.at_key("pattern").get(pattern) == simdjson::SUCCESS;
      const std::string_view regex = has ? Text(pattern, "Regex") : std::string_view();
      name = PreTokenizerName(regex, ignores_merges);
      if (name.empty() || Text(part, "behavior") != "Isolated" || Flag(part, "invert", false)) {
        return Refuse("splitting by '" + std::string(regex.substr(0, 200)) + "'");
      }
    } else if (type == "Digits" && Flag(part, "individual_digits", false)) {
      name = "smollm";
    } else {
      return Refuse("pre-tokenizer '" + std::string(type) + "'");
    }
  }
  if (!bytes) return Refuse("BPE without ByteLevel");
  const bool has_split = !name.empty() && name != "smollm";
  if (has_split == gpt2_words) return Refuse("this combination of pre-tokenizers");
  if (name.empty()) name = "gpt-2";
  if (ignores_merges && !has_split) return Refuse("'ignore_merges' with pre-tokenizer " + name);
  return name;
}

class Reader {
 public:
  explicit Reader(dom::element root) : root_(root) {}

  Result<Vocabulary> Read(const Vocabulary* pieces) {
    if (root_.at_key("model").get(model_) != simdjson::SUCCESS)
      return DataLoss("tokenizer.json has no 'model'");
    if (Text(model_, "type") != "BPE" && !Text(model_, "type").empty()) {
      return Refuse("a '" + std::string(Text(model_, "type")) + "' model");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!Text(model_, key).empty()) return Refuse(std::string("BPE with '") + key + "'");
    }
    MLOS_RETURN_IF_ERROR(ReadTokens());
    const std::vector<dom::element> pre = Parts(root_, "pre_tokenizer", "pretokenizers");
    const bool is_bytes = std::any_of(pre.begin(), pre.end(),
                                      [](dom::element part) { return Text(part, "type") == "ByteLevel"; });
    MLOS_RETURN_IF_ERROR(is_bytes ? ReadBytes(pre) : ReadPieces(pre, pieces));
    MLOS_RETURN_IF_ERROR(ReadAdded());
    MLOS_RETURN_IF_ERROR(ReadTemplate());
    return std::move(out_);
  }

 private:
  Status ReadTokens() {
    dom::object vocabulary;
    if (model_.at_key("vocab").get(vocabulary) != simdjson::SUCCESS)
      return DataLoss("tokenizer.json has no 'vocab'");
    for (const auto& [token, value] : vocabulary) {
      int64_t id = 0;
      if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= kMaxTokens) {
        return DataLoss("tokenizer.json: the id of '" + std::string(token) + "' is not valid");
      }
      if (static_cast<size_t>(id) < out_.tokens.size() && !out_.tokens[static_cast<size_t>(id)].empty()) {
        return DataLoss("tokenizer.json has id " + std::to_string(id) + " twice");
      }
      out_.Set(static_cast<size_t>(id), std::string(token), TokenType::kNormal, 0);
    }
    return OkStatus();
  }

  Result<std::vector<std::pair<std::string, std::string>>> Merges() const {
    std::vector<std::pair<std::string, std::string>> out;
    dom::array merges;
    if (model_.at_key("merges").get(merges) != simdjson::SUCCESS)
      return DataLoss("tokenizer.json has no 'merges'");
    for (const dom::element merge : merges) {
      std::string_view text;
      dom::array pair;
      std::pair<std::string, std::string> parts;
      if (merge.get(text) == simdjson::SUCCESS) {
        const size_t space = text.find(' ');
        if (space == std::string_view::npos) return DataLoss("tokenizer.json: a merge without a space");
        parts = {std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
      } else if (merge.get(pair) == simdjson::SUCCESS && pair.size() == 2) {
        std::string_view left;
        std::string_view right;
        if (pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
          return DataLoss("tokenizer.json: a merge is no pair of texts");
        }
        parts = {std::string(left), std::string(right)};
      } else {
        return DataLoss("tokenizer.json: a merge is no pair of texts");
      }
      out.push_back(std::move(parts));
    }
    return out;
  }

  Status ReadBytes(const std::vector<dom::element>& pre) {
    for (const dom::element part : Parts(root_, "normalizer", "normalizers")) {
      if (Text(part, "type") != "NFC") return Refuse("normalizer '" + std::string(Text(part, "type")) + "'");
      out_.notes.emplace_back("text is not brought into Unicode's form NFC, in which nearly all text is");
    }
    if (Flag(model_, "byte_fallback", false)) return Refuse("ByteLevel with byte_fallback");
    out_.model = "gpt2";
    MLOS_ASSIGN_OR_RETURN(out_.pre, BytePreTokenizer(pre, Flag(model_, "ignore_merges", false)));
    MLOS_ASSIGN_OR_RETURN(const auto merges, Merges());
    for (const auto& [left, right] : merges) {
      if (left.find(' ') != std::string::npos || right.find(' ') != std::string::npos) {
        return Refuse("a merge of a token with a space");
      }
      out_.merges.push_back(left + " " + right);
    }
    return OkStatus();
  }

  // Where a space becomes U+2581 and whether one is put in front.
  Status ReadSpaces(const std::vector<dom::element>& pre) {
    bool replaces = false;
    for (const dom::element part : Parts(root_, "normalizer", "normalizers")) {
      const std::string_view type = Text(part, "type");
      dom::element pattern;
      if (type == "Prepend" && Text(part, "prepend") == kSpace) {
        out_.add_space_prefix = true;
      } else if (type == "Replace" && Text(part, "content") == kSpace &&
                 part.at_key("pattern").get(pattern) == simdjson::SUCCESS && Text(pattern, "String") == " ") {
        replaces = true;
      } else {
        return Refuse("normalizer '" + std::string(type) + "'");
      }
    }
    for (const dom::element part : pre) {
      const std::string_view type = Text(part, "type");
      dom::element pattern;
      if (type == "Metaspace" && Text(part, "replacement") == kSpace && !Flag(part, "split", true)) {
        replaces = true;
        const std::string_view scheme = Text(part, "prepend_scheme");
        out_.add_space_prefix = scheme.empty() ? Flag(part, "add_prefix_space", true) : scheme != "never";
        if (out_.add_space_prefix) {
          out_.notes.emplace_back(
              "text that begins with a space, or follows a special token, gets one more space in front");
        }
      } else if (type == "Split" && Text(part, "behavior") == "MergedWithPrevious" &&
                 part.at_key("pattern").get(pattern) == simdjson::SUCCESS && Text(pattern, "String") == " ") {
        // Gemma's: there is no space left to split at.
      } else {
        return Refuse("pre-tokenizer '" + std::string(type) + "'");
      }
    }
    return replaces ? OkStatus() : Refuse("BPE without ByteLevel and without a sign for spaces");
  }

  Status ReadPieces(const std::vector<dom::element>& pre, const Vocabulary* pieces) {
    if (!Flag(model_, "byte_fallback", false))
      return Refuse("BPE without ByteLevel and without byte_fallback");
    out_.model = "llama";
    out_.pre = "default";
    MLOS_RETURN_IF_ERROR(ReadSpaces(pre));
    if (pieces != nullptr) {
      for (size_t i = 0; i < std::min(pieces->tokens.size(), out_.tokens.size()); ++i) {
        if (pieces->tokens[i] != out_.tokens[i]) continue;  // added in its place
        out_.types[i] = pieces->types[i];
        out_.scores[i] = pieces->scores[i];
      }
      return OkStatus();
    }
    for (size_t i = 0; i < out_.tokens.size(); ++i) {
      const std::string& token = out_.tokens[i];
      if (token.size() == 6 && token.starts_with("<0x") && token.ends_with(">"))
        out_.types[i] = TokenType::kByte;
    }
    const std::string_view unknown = Text(model_, "unk_token");
    if (const auto id = out_.Find(unknown); id && !unknown.empty()) out_.types[*id] = TokenType::kUnknown;
    return ScoreByMerges();
  }

  // SentencePiece joins the neighbours whose sum has the best score; merges are those sums from the best on.
  Status ScoreByMerges() {
    MLOS_ASSIGN_OR_RETURN(const auto merges, Merges());
    std::unordered_map<std::string_view, size_t> ids;
    for (size_t i = 0; i < out_.tokens.size(); ++i) ids.emplace(out_.tokens[i], i);
    std::unordered_set<std::string> known;
    std::vector<bool> scored(out_.tokens.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string sum = merges[rank].first + merges[rank].second;
      const auto it = ids.find(sum);
      if (it == ids.end()) return DataLoss("tokenizer.json: a merge makes '" + sum + "', which is no token");
      known.insert(merges[rank].first + '\0' + merges[rank].second);
      if (scored[it->second]) continue;
      scored[it->second] = true;
      out_.scores[it->second] = -static_cast<float>(rank);
    }
    // A token that two others make although no merge says so would be joined by SentencePiece alone.
    for (size_t i = 0; i < out_.tokens.size(); ++i) {
      const std::string& token = out_.tokens[i];
      for (size_t at = 1; scored[i] && at < token.size(); ++at) {
        const std::string_view left = std::string_view(token).substr(0, at);
        const std::string_view right = std::string_view(token).substr(at);
        if (ids.count(left) == 0 || ids.count(right) == 0) continue;
        if (known.count(std::string(left) + '\0' + std::string(right)) == 0) {
          return Refuse("merges that leave out '" + std::string(left) + "' + '" + std::string(right) +
                        "' (there is no tokenizer.model either)");
        }
      }
    }
    return OkStatus();
  }

  Status ReadAdded() {
    dom::array added;
    if (root_.at_key("added_tokens").get(added) != simdjson::SUCCESS) return OkStatus();
    for (const dom::element token : added) {
      int64_t id = 0;
      std::string content(Text(token, "content"));
      if (token.at_key("id").get(id) != simdjson::SUCCESS || id < 0 || id >= kMaxTokens || content.empty()) {
        return DataLoss("tokenizer.json: an added token without id or content");
      }
      const auto at = static_cast<size_t>(id);
      if (at < out_.tokens.size() && out_.types[at] == TokenType::kUnknown) continue;
      if (Flag(token, "rstrip", false)) out_.strips_after_special = true;
      const bool control = Flag(token, "special", false) || LooksLikeControl(content);
      if (!control) {
        // SentencePiece's files have their spaces as signs, text has not.
        for (size_t space = content.find(kSpace); space != std::string::npos; space = content.find(kSpace)) {
          content.replace(space, kSpace.size(), " ");
        }
      }
      out_.Set(at, std::move(content), control ? TokenType::kControl : TokenType::kUserDefined, kAddedScore);
    }
    return OkStatus();
  }

  // Which tokens go around a text: those of TemplateProcessing.
  Status ReadTemplate() {
    for (const dom::element part : Parts(root_, "post_processor", "processors")) {
      const std::string_view type = Text(part, "type");
      if (type == "ByteLevel") continue;
      dom::array single;
      if (type != "TemplateProcessing" || part.at_key("single").get(single) != simdjson::SUCCESS) {
        return Refuse("post-processor '" + std::string(type) + "'");
      }
      bool before = true;
      for (const dom::element item : single) {
        dom::element special;
        if (item.at_key("SpecialToken").get(special) != simdjson::SUCCESS) {
          before = false;
          continue;
        }
        const auto id = out_.Find(Text(special, "id"));
        bool& adds = before ? out_.add_bos : out_.add_eos;
        if (!id || adds) return Refuse("this post-processor");
        adds = true;
        out_.special[before ? "bos" : "eos"] = *id;
      }
    }
    return OkStatus();
  }

  const dom::element root_;
  dom::element model_;
  Vocabulary out_;
};

}  // namespace

std::string PreTokenizerName(std::string_view pattern, bool ignores_merges) {
  for (const Split& split : kSplits) {
    if (pattern == split.pattern) return ignores_merges ? split.ignoring_merges : split.plain;
  }
  return "";
}

bool LooksLikeControl(std::string_view token) {
  for (const char* known : {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}) {
    if (token == known) return true;
  }
  return (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

Result<Vocabulary> ParseTokenizerJson(std::string_view json, const Vocabulary* sentence_pieces) {
  MLOS_ASSIGN_OR_RETURN(const preprocess::JsonDocument document,
                        preprocess::ParseJson(json, "tokenizer.json"));
  return Reader(document.root).Read(sentence_pieces);
}

}  // namespace mlos::convert
