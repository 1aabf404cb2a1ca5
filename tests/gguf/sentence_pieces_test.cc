// SPDX-License-Identifier: Apache-2.0
// tokenizer.model: read, and used in the place of tokenizer.json or beside it.
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/gguf/sentence_pieces.h"
#include "convert/gguf/to_gguf.h"
#include "llama_session.h"
#include "os/directory.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

std::string Varint(uint64_t n) {
  std::string out;
  for (; n > 127; n >>= 7) out += static_cast<char>(n | 128);
  return out + static_cast<char>(n);
}
std::string Number(uint64_t id, uint64_t value) { return Varint(id << 3) + Varint(value); }
std::string Field(uint64_t id, const std::string& bytes) {
  return Varint(id << 3 | 2) + Varint(bytes.size()) + bytes;
}
std::string Piece(const std::string& text, float score, TokenType type) {
  std::string number(sizeof score, '\0');
  std::memcpy(number.data(), &score, sizeof score);
  return Field(1, Field(1, text) + Varint(2 << 3 | 5) + number + Number(3, static_cast<uint64_t>(type)));
}
// A model with these pieces; model_type 2 is BPE.
std::string Model(const Vocabulary& pieces, uint64_t model_type = 2) {
  std::string out;
  for (size_t i = 0; i < pieces.tokens.size(); ++i)
    out += Piece(pieces.tokens[i], pieces.scores[i], pieces.types[i]);
  return out + Field(2, Number(3, model_type)) + Field(3, Number(3, 1));
}
Result<Vocabulary> Parse(const std::string& bytes) {
  return ParseSentencePieces(std::as_bytes(std::span(bytes)));
}

Vocabulary Example() {
  Vocabulary out;
  out.Set(0, "<unk>", TokenType::kUnknown, 0);
  out.Set(1, "<s>", TokenType::kControl, 0);
  out.Set(2, "<0x41>", TokenType::kByte, 0);
  out.Set(3, "a", TokenType::kNormal, -1.5F);
  return out;
}

TEST(SentencePiecesTest, ReadsPiecesScoresAndTypes) {
  const auto read = Parse(Model(Example()));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->tokens, Example().tokens);
  EXPECT_EQ(read->types, Example().types);
  EXPECT_EQ(read->scores, Example().scores);
  EXPECT_TRUE(read->add_space_prefix);
}

TEST(SentencePiecesTest, RefusesOtherKindsAndDamage) {
  EXPECT_EQ(Parse(Model(Example(), 1)).status().code(), Code::kUnimplemented);
  EXPECT_EQ(Parse("").status().code(), Code::kDataLoss);
  EXPECT_EQ(Parse("no protobuf at all").status().code(), Code::kDataLoss);
  const std::string whole = Model(Example());
  EXPECT_FALSE(Parse(whole.substr(0, whole.size() - 1)).ok());
  EXPECT_EQ(Parse(Field(1, Number(3, 9))).status().code(), Code::kDataLoss) << "a type that is none";
}

// The tokenizer of a fixture as SentencePiece would have written it.
TEST(SentencePiecesTest, GiveTheTokensThatTokenizerJsonGives) {
  const os::TemporaryDirectory scratch;
  const fs::path folder = scratch.path() / "model";
  fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/gguf/llama2-biases-bf16-shards", folder);
  const auto json = os::ReadFile(folder / "tokenizer.json", 1 << 20);
  ASSERT_TRUE(json.ok());
  const auto vocabulary = ParseTokenizerJson(*json, nullptr);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  const fs::path from_json = scratch.path() / "json.gguf";
  ASSERT_TRUE(ConvertToGguf(folder, from_json, {}).ok());
  std::ofstream(folder / "tokenizer.model", std::ios::binary) << Model(*vocabulary);
  const fs::path from_both = scratch.path() / "both.gguf";
  ASSERT_TRUE(ConvertToGguf(folder, from_both, {}).ok());
  fs::remove(folder / "tokenizer.json");
  const fs::path from_pieces = scratch.path() / "pieces.gguf";
  const auto alone = ConvertToGguf(folder, from_pieces, {});
  ASSERT_TRUE(alone.ok()) << alone.status().ToString();

  const LlamaSession json_session(from_json);
  const LlamaSession both_session(from_both);
  const LlamaSession pieces_session(from_pieces);
  ASSERT_TRUE(json_session.ok() && both_session.ok() && pieces_session.ok());
  for (const char* text : {"hello world", "the machine, 123\n", "<|user|>hi", "naïve 日本"}) {
    EXPECT_EQ(both_session.Tokens(text), json_session.Tokens(text)) << text;
    EXPECT_EQ(pieces_session.Tokens(text), json_session.Tokens(text)) << text;
  }
}

}  // namespace
}  // namespace mlos::convert
