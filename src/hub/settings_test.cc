// SPDX-License-Identifier: Apache-2.0
#include "hub/settings.h"

#include <gtest/gtest.h>

#include <map>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::hub {
namespace {

Settings From(const std::map<std::string, std::string>& environment) {
  return Settings::FromEnvironment([&](const char* name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  });
}

TEST(SettingsTest, HasTheUsualDefaults) {
  const Settings settings = From({{"HOME", "/home/u"}});
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.cache_dir, "/home/u/.cache/huggingface/hub");
  EXPECT_TRUE(settings.token.empty());
  EXPECT_FALSE(settings.offline);
}

TEST(SettingsTest, CacheFolderIsFoundInTheOrderOfTheOriginalTools) {
  EXPECT_EQ(From({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache_dir, "/x/huggingface/hub");
  EXPECT_EQ(From({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache_dir, "/h/hf/hub");
  EXPECT_EQ(From({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache_dir, "/old");
  EXPECT_EQ(From({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache_dir, "/new");
}

TEST(SettingsTest, EndpointLosesItsLastSlash) {
  EXPECT_EQ(From({{"HF_ENDPOINT", "http://mirror:8090/"}}).endpoint, "http://mirror:8090");
}

TEST(SettingsTest, TokenComesFromTheEnvironmentBeforeTheFile) {
  const os::TemporaryDirectory folder;
  ASSERT_TRUE(os::WriteFile(folder.path() / "token", "hf_file\n").ok());
  const std::string home = folder.path().string();
  EXPECT_EQ(From({{"HF_HOME", home}}).token, "hf_file");
  EXPECT_EQ(From({{"HF_HOME", home}, {"HF_TOKEN", " hf_env "}}).token, "hf_env");
  EXPECT_EQ(From({{"HF_HOME", home}, {"HF_TOKEN", "hf_env"}}).token_origin, "HF_TOKEN");
  EXPECT_EQ(From({{"HF_HOME", home}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token, "");
  EXPECT_EQ(From({{"HF_TOKEN_PATH", home + "/token"}}).token, "hf_file");
}

TEST(SettingsTest, OfflineHasManyWordsForYes) {
  for (const char* yes : {"1", "true", "YES", "on"})
    EXPECT_TRUE(From({{"HF_HUB_OFFLINE", yes}}).offline) << yes;
  for (const char* no : {"0", "", "no", "false"}) EXPECT_FALSE(From({{"HF_HUB_OFFLINE", no}}).offline) << no;
  EXPECT_TRUE(From({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
}

}  // namespace
}  // namespace mlos::hub
