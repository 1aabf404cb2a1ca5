// SPDX-License-Identifier: Apache-2.0
#include "package/ref.h"

#include <gtest/gtest.h>

namespace mlos::package {
namespace {

TEST(ModelRefTest, ReadsItsParts) {
  const auto ref = ParseModelRef("hf/microsoft/resnet-50@refs/pr/1");
  ASSERT_TRUE(ref.ok()) << ref.status().message();
  EXPECT_EQ(ref->namespace_, "hf");
  EXPECT_EQ(ref->name, "microsoft/resnet-50");
  EXPECT_EQ(ref->revision, "refs/pr/1");
  EXPECT_EQ(ref->ToString(), "hf/microsoft/resnet-50@refs/pr/1");
}

TEST(ModelRefTest, RevisionIsLatestWhenLeftOut) {
  EXPECT_EQ(ParseModelRef("hf/bert-base-uncased")->ToString(), "hf/bert-base-uncased@latest");
}

TEST(ModelRefTest, WhatIsReadBackIsTheSame) {
  for (const char* text : {"a/b@c", "hf/a.b_c-d/..e@v1.0", "A/0@_", "local/x@main/-"}) {
    const auto ref = ParseModelRef(text);
    if (!ref.ok()) continue;
    EXPECT_EQ(*ParseModelRef(ref->ToString()), *ref);
  }
}

TEST(ModelRefTest, ErrorsSayWhatAndWhere) {
  const auto message = [](std::string_view text) { return ParseModelRef(text).status().message(); };
  EXPECT_NE(message("hf/be rt").find("character 6: ' ' is not allowed"), std::string::npos)
      << message("hf/be rt");
  EXPECT_NE(message("hf/a@x@y").find("character 7: '@' is not allowed"), std::string::npos)
      << message("hf/a@x@y");
  EXPECT_NE(message("bert").find("character 5: '/' and a name are missing"), std::string::npos)
      << message("bert");
  EXPECT_NE(message("hf/../x").find("character 4: '..' is not a name"), std::string::npos)
      << message("hf/../x");
  EXPECT_NE(message("hf/m\xC3\xBCller").find("'\xC3\xBC' is not allowed"), std::string::npos)
      << message("hf/m\xC3\xBCller");
  EXPECT_NE(message("hf/a\nb").find("\\x0a"), std::string::npos) << message("hf/a\nb");
}

TEST(ModelRefTest, HasALimitedDepth) {
  const auto deep = [](int segments) {
    std::string text = "hf";
    for (int i = 1; i < segments; ++i) text += "/a";
    return text;
  };
  EXPECT_TRUE(ParseModelRef(deep(16)).ok());
  EXPECT_FALSE(ParseModelRef(deep(17)).ok());
}

TEST(ModelRefTest, RefusesWhatTheGrammarLeavesOut) {
  const std::vector<std::string> bad = {
      "",
      "/",
      "hf",
      "hf/",
      "/x",
      "hf//x",
      "hf/x/",
      "hf/x@",
      "@x",
      "hf@x",
      "hf/.",
      "hf/..",
      "../x",
      "hf/-x",
      "-hf/x",
      "hf/x@..",
      "hf/x@a//b",
      "hf/x@/a",
      "hf/x@-",
      "hf/x%2F",
      "hf/x:1",
      "hf\\x/y",
      "hf/x?a",
      "hf/x#a",
      "hf/x@a@b",
      " hf/x",
      "hf/x ",
      "hf/" + std::string(97, 'a'),
      "hf/x@" + std::string(97, 'a'),
      std::string("hf/a\0b", 6),
      "hf/" + std::string(90, 'a') + "/" + std::string(90, 'b') + "/" + std::string(90, 'c')};
  for (const std::string& text : bad)
    EXPECT_EQ(ParseModelRef(text).status().code(), Code::kInvalidArgument) << text;
}

}  // namespace
}  // namespace mlos::package
