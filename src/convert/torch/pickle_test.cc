// SPDX-License-Identifier: Apache-2.0
// Pickles as data: values, and the corpus of attacks (tests/convert/make_malicious_pickles.py).
#include "convert/torch/pickle.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "convert/torch/pickle_globals.h"
#include "convert/torch/testing/torch_writer.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;
using Kind = PickleNode::Kind;

Result<Pickle> Read(const std::string& bytes) {
  size_t end = 0;
  return Pickle::Read(std::as_bytes(std::span(bytes)), &end);
}

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

TEST(PickleTest, ReadsNumbersTextAndContainers) {
  const std::string bytes = Pickled("(K\x07" + PickleInt(-5) + PickleText("name") + "\x88N(K\x01K\x02l}" +
                                    PickleText("key") + "K\x03st");
  const auto pickle = Read(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status().ToString();
  const auto items = pickle->Items(pickle->root(), Kind::kTuple);
  ASSERT_EQ(items.size(), 7U);
  EXPECT_EQ(pickle->at(items[0]).integer, 7);
  EXPECT_EQ(pickle->at(items[1]).integer, -5);
  EXPECT_EQ(pickle->at(items[2]).text, "name");
  EXPECT_EQ(pickle->at(items[3]).kind, Kind::kBool);
  EXPECT_EQ(pickle->Items(items[5], Kind::kList).size(), 2U);
  EXPECT_EQ(pickle->at(pickle->Lookup(items[6], "key")).integer, 3);
  EXPECT_EQ(pickle->Lookup(items[6], "none"), kNoPickle);
}

TEST(PickleTest, WhatIsRememberedBeforeItIsFilledIsTheSameValue) {
  const std::string bytes =
      Pickled("(]q" + std::string(1, '\0') + "K\x05" + "ah" + std::string(1, '\0') + "t");
  const auto pickle = Read(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status().ToString();
  const auto items = pickle->Items(pickle->root(), Kind::kTuple);
  EXPECT_EQ(items[0], items[1]);
  EXPECT_EQ(pickle->Items(items[1], Kind::kList).size(), 1U);
}

TEST(PickleTest, OrderedDictsAreDictsAlsoAsPythonTwoWroteThem) {
  const std::string pair = "(" + PickleText("a") + "K\x01l";
  const std::string bytes = Pickled("ccollections\nOrderedDict\n((" + pair + "ltR");
  const auto pickle = Read(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status().ToString();
  EXPECT_EQ(pickle->at(pickle->Lookup(pickle->root(), "a")).integer, 1);
}

TEST(PickleTest, EveryLengthOfACutPickleIsRefused) {
  const std::string whole = Pickled(PickleDict({{"weight", "FloatStorage", "0", 6, 0, {2, 3}, {3, 1}}}));
  ASSERT_TRUE(Read(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(Read(whole.substr(0, size)).ok()) << size;
}

TEST(PickleTest, TheCorpusOfAttacksIsRefusedByName) {
  simdjson::dom::parser parser;
  const auto loaded = parser.load(MLOS_SOURCE_DIR "/src/convert/torch/testing/malicious_pickles.json");
  simdjson::dom::array cases;
  ASSERT_EQ(loaded.get_array().get(cases), simdjson::SUCCESS);
  size_t attacks = 0;
  for (simdjson::dom::element attack : cases) {
    const std::string name{attack["name"].get_string().value()};
    const std::string bytes = FromHex(attack["bytes"]);
    const std::string_view answer = attack["answer"];
    const auto pickle = Read(bytes);
    EXPECT_EQ(CodeName(pickle.status().code()), answer) << name << ": " << pickle.status().ToString();
    EXPECT_THAT(pickle.status().message(), HasSubstr(std::string{attack["says"].get_string().value()}))
        << name;
    attacks += answer == "permission_denied" ? 1 : 0;
  }
  EXPECT_GT(attacks, 80U);
}

TEST(PickleTest, TimeIsLinearWhateverIsShared) {
  // One list of 200,000 values, given to set() and to OrderedDict() 20,000 times.
  std::string bytes = "\x80\x02](" + std::string(200'000, 'N') + "eq" + std::string(1, '\0') + "(";
  for (int i = 0; i < 20'000; ++i) bytes += std::string("cbuiltins\nset\n(h") + '\0' + "tR";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Read(bytes + "t\x86.").ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(PickleTest, MoreValuesThanTheLimitAreRefused) {
  const std::string bytes = "\x80\x02(" + std::string(kMaxPickleNodes + 10, 'N') + "t.";
  EXPECT_EQ(Read(bytes).status().code(), Code::kTooLarge);
}

TEST(PickleGlobalsTest, WhatCheckpointsNeedIsKnown) {
  for (const auto& [module, name] :
       std::vector<std::pair<const char*, const char*>>{{"collections", "OrderedDict"},
                                                        {"torch._utils", "_rebuild_tensor_v2"},
                                                        {"torch", "BFloat16Storage"},
                                                        {"torch.nn.modules.conv", "Conv2d"},
                                                        {"__torch__.torchvision.models.resnet", "ResNet"},
                                                        {"numpy.core.multiarray", "scalar"},
                                                        {"argparse", "Namespace"}}) {
    EXPECT_EQ(ClassifyGlobal(module, name), GlobalKind::kKnown) << module << "." << name;
  }
  EXPECT_EQ(ClassifyGlobal("__torch__evil", "x"), GlobalKind::kUnknown);
  EXPECT_EQ(ClassifyGlobal("os.path", "join"), GlobalKind::kDangerous);
  EXPECT_EQ(ClassifyGlobal("ossuary", "x"), GlobalKind::kUnknown);
}

}  // namespace
}  // namespace mlos::convert
