// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "package/manifest.h"

namespace mlos::package {
namespace {

// Valid manifests with nasty texts, the same ones every time.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Manifest Make() {
    Manifest m;
    m.namespace_ = "hf";
    m.name = Below(2) == 0 ? "a" : "org/model-1.5_b";
    m.version = Below(2) == 0 ? "latest" : "0123";
    m.revision = Text();
    m.description = Text();
    m.license = Text();
    m.homepage = Text();
    m.created = "2026-01-02T03:04:05Z";
    for (int i = Below(4); i > 0; --i) m.tags.push_back(Text());
    m.framework_name = "x" + Text();
    m.framework_version = Text();
    m.format_type = "onnx";
    m.execution_format = Below(2) == 0 ? "" : "onnx";
    m.files = {{"model.onnx", Number(), Sha()}, {"1_Pooling/caf\xC3\xA9 #1: \"x\".json", Number(), Sha()}};
    for (int i = Below(3); i > 0; --i) m.execution_files.push_back({"model.onnx", "onnx", "encoder"});
    for (int i = Below(4); i > 0; --i) m.inputs.push_back(Tensor(i));
    for (int i = Below(4); i > 0; --i) m.outputs.push_back(Tensor(i));
    if (Below(2) == 0)
      m.text =
          TextSpec{"model.onnx", static_cast<uint32_t>(Below(1000)), Text(), "cls", Below(2) == 0, Text()};
    if (Below(2) == 0) {
      m.image = ImageSpec{"model.onnx",    Text(),         "exact", {1 + Below(9), 1 + Below(9)},
                          "bicubic",       {1 + Below(9)}, Real(),  {-Real()},
                          {Real(), Real()}};
    }
    if (Below(2) == 0) {
      m.serving = ServingSpec{Below(2) == 0 ? "" : "none", Below(2) == 0 ? "" : "on",
                              static_cast<uint32_t>(Below(3))};
    }
    if (Below(2) == 0) m.conversion = Conversion{"mlos-native", Text(), Text(), Text(), m.files, Sha()};
    if (m.conversion && Below(2) == 0) {
      m.conversion->verified = true;
      m.conversion->quantization = "int8";
      m.conversion->quantization_max_abs = 0.0125;
      m.conversion->quantization_cosine = 0.9987;
    }
    m.requirements = {Real(), Real(), Real(), Real(), Real()};
    m.source_url = Below(2) == 0 ? "" : "https://example.org/a?b=c#d";
    m.registry = Text();
    return m;
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  uint64_t Number() { return (uint64_t{random_()} << 30) | random_(); }
  double Real() { return static_cast<double>(random_()) / (1 + Below(1000)); }
  std::string Sha() {
    std::string hex;
    for (int i = 0; i < 64; ++i) hex += "0123456789abcdef"[Below(16)];
    return hex;
  }
  std::string Text() {
    static const std::vector<std::string> kPieces = {"",
                                                     "null",
                                                     "~",
                                                     "true",
                                                     "No",
                                                     "1e3",
                                                     "0x10",
                                                     "-",
                                                     "- a",
                                                     ": ",
                                                     "#",
                                                     " ",
                                                     "\n",
                                                     "\t",
                                                     "\r",
                                                     "\"",
                                                     "'",
                                                     "\\",
                                                     "{",
                                                     "]",
                                                     "&a",
                                                     "*a",
                                                     "!b",
                                                     "%",
                                                     "@",
                                                     "`",
                                                     "word",
                                                     "\xC3\xA9",
                                                     "\xE2\x80\xA8",
                                                     "\xC2\x85",
                                                     "\xEF\xBB\xBF",
                                                     "\xF0\x9F\x98\x80",
                                                     std::string(1, '\0'),
                                                     "\x04",
                                                     "\x7f",
                                                     "---",
                                                     "..."};
    std::string text;
    for (int i = Below(5); i > 0; --i)
      text += kPieces[static_cast<size_t>(Below(static_cast<int>(kPieces.size())))];
    return text;
  }
  TensorSpec Tensor(int index) {
    TensorSpec spec;
    spec.name = std::to_string(index) + Text();
    spec.dtype = static_cast<DType>(1 + Below(14));
    for (int i = Below(5); i > 0; --i) {
      spec.shape.push_back(Below(3) == 0 ? -1 : Below(100));
      spec.dim_names.push_back(Text());
    }
    spec.optional = Below(2) == 0;
    spec.description = Text();
    return spec;
  }

  std::mt19937 random_;
};

TEST(ManifestWriterTest, WhatIsWrittenReadsBackEqual) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    const Manifest manifest = Generator(seed).Make();
    const std::string yaml = WriteManifest(manifest);
    const auto back = ParseManifest(yaml);
    ASSERT_TRUE(back.ok()) << back.status().message() << "\n" << yaml;
    ASSERT_EQ(*back, manifest) << yaml;
    ASSERT_EQ(WriteManifest(*back), yaml);
  }
}

TEST(ManifestWriterTest, TextThatIsNoUtf8IsRepaired) {
  Manifest manifest = Generator(1).Make();
  manifest.description =
      "a\xff"
      "b\xE2\x80";
  const auto back = ParseManifest(WriteManifest(manifest));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->description,
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace mlos::package
