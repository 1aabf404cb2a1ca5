// SPDX-License-Identifier: Apache-2.0
// Version negotiation, the table, open and close, what a plugin says of itself.
#include "suite.h"

namespace smi_test {
namespace {

TEST(EntryConformance, SpeaksToEveryHostOfItsMajorVersion) {
  const smi_plugin_entry_fn entry = Plugin::Entry(flags.plugin);
  smi_error error = NoError();
  const smi_plugin_api* api = entry(SMI_VERSION, &error);
  ASSERT_NE(api, nullptr) << error.message;
  EXPECT_EQ(api->version >> 16, SMI_VERSION_MAJOR);
  EXPECT_EQ(entry(SMI_MAKE_VERSION(1, 0), &error), api);
  EXPECT_EQ(entry(SMI_MAKE_VERSION(1, 999), nullptr), api);
}

TEST(EntryConformance, RefusesAnotherMajorVersionWithWords) {
  const smi_plugin_entry_fn entry = Plugin::Entry(flags.plugin);
  for (const uint32_t version : {SMI_MAKE_VERSION(2, 0), SMI_MAKE_VERSION(0, 9), UINT32_MAX}) {
    smi_error error = NoError();
    EXPECT_EQ(entry(version, &error), nullptr);
    EXPECT_NE(error.code, SMI_OK);
    EXPECT_NE(Message(error), "");
    EXPECT_EQ(entry(version, nullptr), nullptr);
  }
}

TEST(EntryConformance, WritesOnlyInsideAShortError) {
  struct {
    smi_error error;
  } memory;
  std::memset(static_cast<void*>(&memory), 0x5A, sizeof memory);
  memory.error.struct_size = offsetof(smi_error, message) + 16;
  EXPECT_EQ(Plugin::Entry(flags.plugin)(SMI_MAKE_VERSION(2, 0), &memory.error), nullptr);
  EXPECT_LT(strnlen(memory.error.message, 16), 16U);
  for (size_t i = 16; i < sizeof memory.error.message; ++i) ASSERT_EQ(memory.error.message[i], 0x5A) << i;
}

TEST(EntryConformance, FillsEverySlotOfItsTable) {
  const Plugin plugin(flags.plugin);
  const smi_plugin_api& api = plugin.api();
  ASSERT_TRUE(SMI_HAS(&api, smi_plugin_api, tokenize));
  EXPECT_TRUE(api.open && api.close && api.describe && api.estimate && api.load && api.unload &&
              api.describe_model && api.model_stats);
  const uint32_t capabilities = plugin.info().capabilities;
  EXPECT_EQ((capabilities & SMI_CAP_EXECUTE) != 0, api.execute != nullptr);
  EXPECT_EQ((capabilities & SMI_CAP_GENERATE) != 0, api.generate != nullptr);
  EXPECT_TRUE((capabilities & SMI_CAP_CANCEL) == 0 || api.cancel != nullptr);
  EXPECT_NE(capabilities & (SMI_CAP_EXECUTE | SMI_CAP_GENERATE), 0U) << "a plugin that can do nothing";
}

TEST_F(Conformance, DescribesItselfTheSameEachTime) {
  const smi_plugin_info* info = plugin_.api().describe(plugin_.get());
  ASSERT_NE(info, nullptr);
  ASSERT_TRUE(SMI_HAS(info, smi_plugin_info, n_frameworks));
  EXPECT_EQ(plugin_.api().describe(plugin_.get()), info);
  const std::string name(info->name.data, info->name.size);
  EXPECT_THAT(name, ::testing::MatchesRegex("[a-z0-9-]+"));
  EXPECT_GT(info->version.size, 0U);
  ASSERT_GT(info->n_formats, 0U);
  for (uint32_t i = 0; i < info->n_formats; ++i) EXPECT_GT(info->formats[i].size, 0U);
  for (uint32_t i = 0; i < info->n_frameworks; ++i) EXPECT_GT(info->frameworks[i].size, 0U);
}

TEST(OpenConformance, CanBeClosedAndOpenedAgain) {
  for (int i = 0; i < 3; ++i) {
    const Plugin plugin(flags.plugin);
    const Model model = plugin.Load(flags.model);
    EXPECT_NE(model.get(), nullptr);
  }
}

TEST(OpenConformance, RefusesAnOptionItDoesNotKnow) {
  smi_error error = NoError();
  const smi_plugin_api* api = Plugin::Entry(flags.plugin)(SMI_VERSION, &error);
  ASSERT_NE(api, nullptr);
  smi_host_api host{};
  host.struct_size = sizeof host;
  host.version = SMI_VERSION;
  host.log = [](void*, int32_t, smi_str) {};
  const smi_option option = {smi_text("no-such-option-in-any-plugin"), smi_text("1")};
  smi_plugin* plugin = nullptr;
  EXPECT_EQ(api->open(&host, &option, 1, &plugin, &error), SMI_INVALID_ARGUMENT);
  EXPECT_THAT(Message(error), ::testing::HasSubstr("no-such-option-in-any-plugin"));
  EXPECT_EQ(plugin, nullptr);
}

TEST(OpenConformance, RefusesAHostTableThatIsTooSmall) {
  smi_error error = NoError();
  const smi_plugin_api* api = Plugin::Entry(flags.plugin)(SMI_VERSION, &error);
  ASSERT_NE(api, nullptr);
  smi_host_api host{};
  host.struct_size = 8;
  smi_plugin* plugin = nullptr;
  EXPECT_EQ(api->open(&host, nullptr, 0, &plugin, &error), SMI_INVALID_ARGUMENT);
}

TEST_F(Conformance, DoesNotCloseWhileAModelIsLoaded) {
  const Model model = plugin_.Load(flags.model);
  smi_error error = NoError();
  EXPECT_EQ(plugin_.api().close(plugin_.get(), &error), SMI_WRONG_STATE);
  EXPECT_NE(Message(error), "");
  EXPECT_EQ(model.stats().running, 0U);
}

}  // namespace
}  // namespace smi_test
