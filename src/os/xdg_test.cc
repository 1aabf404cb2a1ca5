// SPDX-License-Identifier: Apache-2.0
#include "os/xdg.h"

#include <gtest/gtest.h>

#include <map>

namespace mlos::os {
namespace {

Environment Fake(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(XdgTest, MlosHomeHoldsEverything) {
  const auto dirs =
      ResolveDirectories(Fake({{"MLOS_HOME", "/srv/m/"}, {"XDG_DATA_HOME", "/data"}, {"HOME", "/home/u"}}));
  ASSERT_TRUE(dirs.ok());
  EXPECT_EQ(dirs->data.string(), "/srv/m/");
  EXPECT_EQ(dirs->cache, std::filesystem::path("/srv/m/cache"));
  EXPECT_EQ(dirs->runtime, std::filesystem::path("/srv/m/run"));
}

TEST(XdgTest, DefaultsLieBelowHome) {
  const auto dirs = ResolveDirectories(Fake({{"HOME", "/home/u"}}));
  ASSERT_TRUE(dirs.ok());
  EXPECT_EQ(dirs->data, std::filesystem::path("/home/u/.local/share/mlos"));
  EXPECT_EQ(dirs->config, std::filesystem::path("/home/u/.config/mlos"));
  EXPECT_EQ(dirs->cache, std::filesystem::path("/home/u/.cache/mlos"));
  EXPECT_EQ(dirs->runtime, std::filesystem::path("/home/u/.local/share/mlos/run"));
}

TEST(XdgTest, XdgVariablesWinAndRelativeOnesAreIgnored) {
  const auto dirs = ResolveDirectories(Fake({{"HOME", "/home/u"},
                                             {"XDG_DATA_HOME", "/data"},
                                             {"XDG_CONFIG_HOME", "relative"},
                                             {"XDG_RUNTIME_DIR", "/run/user/1"}}));
  ASSERT_TRUE(dirs.ok());
  EXPECT_EQ(dirs->data, std::filesystem::path("/data/mlos"));
  EXPECT_EQ(dirs->config, std::filesystem::path("/home/u/.config/mlos"));
  EXPECT_EQ(dirs->runtime, std::filesystem::path("/run/user/1/mlos"));
}

TEST(XdgTest, ARelativeMlosHomeIsTakenFromTheCurrentFolder) {
  const auto dirs = ResolveDirectories(Fake({{"MLOS_HOME", "here"}}));
  ASSERT_TRUE(dirs.ok());
  EXPECT_EQ(dirs->data, std::filesystem::current_path() / "here");
}

}  // namespace
}  // namespace mlos::os
