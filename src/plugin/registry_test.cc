// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/testing/test_plugins.h"

namespace mlos::plugin {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<PluginRegistry> OpenDir(const std::filesystem::path& dir, std::vector<Status>* errors) {
  auto registry = PluginRegistry::Open({dir}, errors);
  EXPECT_TRUE(registry.ok()) << registry.status().ToString();
  return std::move(registry).value();
}

// A folder with the echo plugin alone.
struct EchoDir : TemporaryFolder {
  EchoDir() { std::filesystem::create_symlink(kPluginDir / "libmlos_echo.so", path() / "libmlos_echo.so"); }
};

TEST(RegistryTest, SkipsAFolderThatDoesNotExist) {
  std::vector<Status> errors;
  EXPECT_TRUE(OpenDir("/nowhere/at/all", &errors)->List().empty());
  EXPECT_TRUE(errors.empty());
}

TEST(RegistryTest, ListsWhatIsReallyOpen) {
  const EchoDir dir;
  std::vector<Status> errors;
  const auto registry = OpenDir(dir.path(), &errors);
  EXPECT_TRUE(errors.empty());
  const auto list = registry->List();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].id, "echo");
  EXPECT_EQ(list[0].formats, std::vector<std::string>{"echo"});
  EXPECT_THAT(list[0].capabilities, ::testing::IsSupersetOf({"execute", "generate", "cancel"}));
}

TEST(RegistryTest, FindsThePluginForAFormatAndNamesTheFormatsOtherwise) {
  const EchoDir dir;
  const auto registry = OpenDir(dir.path(), nullptr);
  EXPECT_EQ(registry->ForFormat("echo").value(), "echo");
  const Status unknown = registry->ForFormat("tflite").status();
  EXPECT_EQ(unknown.code(), Code::kUnimplemented);
  EXPECT_THAT(unknown.message(), HasSubstr("'tflite'"));
  EXPECT_THAT(unknown.message(), HasSubstr("echo (echo)"));
}

TEST(RegistryTest, LeavesOutAFileThatIsNoLibraryAndKeepsTheRest) {
  const EchoDir dir;
  dir.Write("libmlos_broken.so", "not a library");
  dir.Write("notes.txt", "not a plugin");
  std::vector<Status> errors;
  EXPECT_EQ(OpenDir(dir.path(), &errors)->List().size(), 1U);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0].message(), HasSubstr("libmlos_broken.so"));
}

TEST(RegistryTest, LeavesOutASecondPluginOfTheSameId) {
  std::vector<Status> errors;
  const auto registry = PluginRegistry::Open({HostileDir("hostile"), HostileDir("hostile")}, &errors);
  EXPECT_EQ(registry.value()->List().size(), 1U);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].code(), Code::kAlreadyExists);
}

struct Refused {
  const char* name;
  Code code;
  const char* says;
};
class RegistryRefusesTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RegistryRefusesTest, WithAReason) {
  std::vector<Status> errors;
  EXPECT_TRUE(OpenDir(HostileDir(GetParam().name), &errors)->List().empty());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].code(), GetParam().code);
  EXPECT_THAT(errors[0].message(), HasSubstr(GetParam().says));
  EXPECT_THAT(errors[0].message(), HasSubstr(std::string("libmlos_") + GetParam().name));
}

INSTANTIATE_TEST_SUITE_P(Libraries, RegistryRefusesTest,
                         ::testing::Values(Refused{"future", Code::kUnimplemented, "speaks SMI 2.0"},
                                           Refused{"short_table", Code::kInternal, "smaller than in SMI 1.0"},
                                           Refused{"no_load", Code::kInternal, "lacks one of"},
                                           Refused{"no_execute", Code::kInternal, "promises execute"},
                                           Refused{"bad_name", Code::kInternal, "[a-z0-9-]"}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(RegistryTest, HandsPluginOptionsToThePluginThatTheFileNames) {
  OpenOptions options;
  options.plugin_options["hostile"] = {{"threads", "3"}};
  std::vector<Status> errors;
  const auto registry = PluginRegistry::Open({HostileDir("hostile")}, options, &errors);
  EXPECT_TRUE(registry.value()->List().empty());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].code(), Code::kInvalidArgument);
}

TEST(RegistryTest, RefusesAnUnknownPluginId) {
  const EchoDir dir;
  const auto registry = OpenDir(dir.path(), nullptr);
  const Status status = registry->Load("nothing", LoadOptions()).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("echo"));
}

TEST(RegistryTest, SurvivesAnErrorMessageWithoutAnEnd) {
  const auto registry = OpenDir(HostileDir("hostile"), nullptr);
  const Status status = registry->EstimateModel("hostile", LoadOptions()).status();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_LT(status.message().size(), 1100U);
}

TEST(RegistryTest, EstimatesWithoutLoading) {
  const EchoDir dir;
  const auto registry = OpenDir(dir.path(), nullptr);
  LoadOptions load;
  load.model_path = dir.Write("model.txt", "echo 1\ninput x FP32 n\n");
  const auto estimate = registry->EstimateModel("echo", load);
  ASSERT_TRUE(estimate.ok());
  EXPECT_GT(estimate->private_bytes, 0U);
}

}  // namespace
}  // namespace mlos::plugin
