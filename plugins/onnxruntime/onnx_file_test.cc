// SPDX-License-Identifier: Apache-2.0
#include "onnx_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "failure.h"

namespace mlos_ort {
namespace {

const std::filesystem::path kModels = std::filesystem::path(MLOS_SOURCE_DIR) / "tests/models";

std::string Read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool ReadText(const std::string& text, OnnxFile* out) {
  return ReadOnnxBytes(std::as_bytes(std::span(text)), out);
}

// A length-delimited protobuf field of fewer than 128 bytes.
std::string Field(int id, const std::string& bytes) {
  return std::string{static_cast<char>(id << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string Number(int id, int value) { return {static_cast<char>(id << 3), static_cast<char>(value)}; }
// key = value of external data
std::string Entry(const std::string& key, const std::string& value) {
  return Field(13, Field(1, key) + Field(2, value));
}

TEST(OnnxFileTest, CountsTheWeightsOfTheFixtures) {
  const OnnxFile external = ReadOnnxFile((kModels / "onnx/external/model.onnx").string());
  EXPECT_EQ(external.external_bytes, 576U);
  EXPECT_EQ(external.parameters, 144U);
  const OnnxFile sequence = ReadOnnxFile((kModels / "onnx/sequence.onnx").string());
  EXPECT_EQ(sequence.external_bytes, 0U);
  EXPECT_EQ(sequence.parameters, 100U * 4U + 2U * 4U + 1U);
  EXPECT_EQ(sequence.file_bytes, std::filesystem::file_size(kModels / "onnx/sequence.onnx"));
}

TEST(OnnxFileTest, FindsWeightsInsideSubgraphs) {
  const std::string tensor =
      Number(1, 6) + Number(2, 10) + Entry("location", "w.bin") + Entry("length", "12") + Number(14, 1);
  const std::string inner_graph = Field(5, tensor);
  const std::string node = Field(5, Field(6, inner_graph));
  OnnxFile out;
  ASSERT_TRUE(ReadText(Field(7, Field(1, node)), &out));
  EXPECT_EQ(out.external_bytes, 12U);
  EXPECT_EQ(out.parameters, 6U);
  EXPECT_EQ(out.half_bytes, 12U);
}

TEST(OnnxFileTest, ReadsPackedDimensions) {
  OnnxFile out;
  ASSERT_TRUE(ReadText(Field(7, Field(5, Field(1, "\x02\x03"))), &out));
  EXPECT_EQ(out.parameters, 6U);
}

TEST(OnnxFileTest, DoesNotWrapAroundOnHugeNumbers) {
  const std::string tensor = Entry("length", "99999999999999999999999999") + Number(14, 1);
  OnnxFile out;
  ASSERT_TRUE(ReadText(Field(7, Field(5, tensor) + Field(5, tensor)), &out));
  EXPECT_EQ(out.external_bytes, UINT64_MAX);
}

TEST(OnnxFileTest, StopsAtDeepNesting) {
  std::string graph;
  for (int i = 0; i < 12; ++i) graph = Field(1, Field(5, Field(6, graph)));
  OnnxFile out;
  EXPECT_TRUE(ReadText(Field(7, graph), &out));
  // Lengths of one byte end here, so longer fields are put around by hand.
  for (int i = 0; i < 12; ++i) {
    for (const int id : {6, 5, 1}) {
      const size_t size = graph.size();
      graph = std::string{static_cast<char>(id << 3 | 2), static_cast<char>((size & 0x7F) | 0x80),
                          static_cast<char>(size >> 7)} +
              graph;
    }
  }
  const size_t size = graph.size();
  EXPECT_FALSE(ReadText(
      std::string{7 << 3 | 2, static_cast<char>((size & 0x7F) | 0x80), static_cast<char>(size >> 7)} + graph,
      &out));
}

TEST(OnnxFileTest, IsNoModelWithoutAGraph) {
  OnnxFile out;
  EXPECT_FALSE(ReadText("", &out));
  EXPECT_FALSE(ReadText(Number(1, 8), &out));
  EXPECT_FALSE(ReadText("plain text", &out));
}

TEST(OnnxFileTest, RefusesEveryTruncation) {
  const std::string whole = Read(kModels / "onnx/two_inputs.onnx");
  OnnxFile out;
  ASSERT_TRUE(ReadText(whole, &out));
  // The graph comes before the opset, whose field may be cut off cleanly.
  size_t accepted = 0;
  for (size_t size = 0; size < whole.size(); ++size)
    accepted += ReadText(whole.substr(0, size), &out) ? 1 : 0;
  EXPECT_LE(accepted, 1U);
}

TEST(OnnxFileTest, SurvivesDamage) {
  const std::string whole = Read(kModels / "onnx/external/model.onnx");
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    OnnxFile out;
    ReadText(damaged, &out);
  }
}

TEST(OnnxFileTest, SaysWhatIsWrongWithAFile) {
  try {
    ReadOnnxFile("/nowhere/model.onnx");
    FAIL();
  } catch (const Failure& e) {
    EXPECT_EQ(e.code(), SMI_NOT_FOUND);
    EXPECT_NE(std::string(e.what()).find("/nowhere/model.onnx"), std::string::npos);
  }
}

}  // namespace
}  // namespace mlos_ort
