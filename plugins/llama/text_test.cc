// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <gtest/gtest.h>

namespace mlos::llama {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

TEST(Utf8AssemblerTest, HoldsBackTheBeginningOfACharacter) {
  Utf8Assembler assembler;
  EXPECT_EQ(assembler.Push("a\xE2"), "a");
  EXPECT_EQ(assembler.Push("\x82"), "");
  EXPECT_EQ(assembler.Push("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(assembler.Flush(), "");
}

TEST(Utf8AssemblerTest, EveryCutOfATextGivesTheText) {
  const std::string text = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80 \xE6\xBC\xA2 end";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    for (size_t second = cut; second <= text.size(); ++second) {
      Utf8Assembler assembler;
      std::string got = assembler.Push(text.substr(0, cut)) + std::string();
      got += assembler.Push(text.substr(cut, second - cut));
      got += assembler.Push(text.substr(second));
      got += assembler.Flush();
      EXPECT_EQ(got, text);
    }
  }
}

TEST(Utf8AssemblerTest, EveryInvalidStretchBecomesOneReplacement) {
  Utf8Assembler assembler;
  EXPECT_EQ(assembler.Push("a\xFFz"), "a" + kBad + "z");
  EXPECT_EQ(assembler.Push("\x80\x80"), kBad + kBad);
  EXPECT_EQ(assembler.Push("\xE2\x82x"), kBad + "x");             // cut short by another character
  EXPECT_EQ(assembler.Push("\xC0\xAF"), kBad + kBad);             // overlong
  EXPECT_EQ(assembler.Push("\xED\xA0\x80"), kBad + kBad + kBad);  // surrogate
  EXPECT_EQ(assembler.Push("\xF5"), kBad);                        // beyond U+10FFFF
  EXPECT_EQ(assembler.Push("\xF0\x9F"), "");
  EXPECT_EQ(assembler.Flush(), kBad);
}

TEST(StopMatcherTest, GivesOutWhatCannotBecomeAStopString) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.Push("one E"), "one ");
  EXPECT_EQ(matcher.Push("lse"), "Else");
  EXPECT_EQ(matcher.Push("\n"), "");
  EXPECT_EQ(matcher.Push("two"), "\ntwo");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, NeverShowsAStopStringHoweverItIsCut) {
  const std::string text = "some text STOP and more";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    for (size_t second = cut; second <= text.size(); ++second) {
      StopMatcher matcher({"STOPPED", "STOP"});
      std::string shown = matcher.Push(text.substr(0, cut));
      shown += matcher.Push(text.substr(cut, second - cut));
      shown += matcher.Push(text.substr(second));
      EXPECT_EQ(shown, "some text ");
      EXPECT_TRUE(matcher.stopped());
    }
  }
}

TEST(StopMatcherTest, TheEarliestOfSeveralWins) {
  StopMatcher matcher({"late", "early"});
  EXPECT_EQ(matcher.Push("x early late"), "x ");
  EXPECT_EQ(matcher.Push("more"), "");
}

TEST(StopMatcherTest, AStopStringThatRepeatsItselfIsFound) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.Push("a"), "");
  EXPECT_EQ(matcher.Push("a"), "");
  EXPECT_EQ(matcher.Push("a"), "a");
  EXPECT_EQ(matcher.Push("b!"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcherTest, FlushGivesWhatWasHeldBack) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Push("the EN"), "the ");
  EXPECT_EQ(matcher.Flush(), "EN");
  EXPECT_EQ(matcher.Flush(), "");
}

}  // namespace
}  // namespace mlos::llama
