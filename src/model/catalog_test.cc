// SPDX-License-Identifier: Apache-2.0
#include "model/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace mlos::model {
namespace {

namespace fs = std::filesystem;

fs::path FreshFile(const std::string& name) {
  const fs::path path = fs::path(testing::TempDir()) / ("mlos_catalog_test_" + name);
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.string() + suffix);
  return path;
}

Registration Row(const std::string& id) {
  return {.id = id,
          .path = "/models/\"quoted'; DROP TABLE model; --",
          .plugin_id = "p",
          .execution_format = "onnx",
          .framework = "pytorch",
          .description = "d\n\u00e9",
          .registered_unix_ns = 1'700'000'000'000'000'001};
}

TEST(CatalogTest, RowsSurviveAReopen) {
  const fs::path file = FreshFile("reopen");
  {
    auto catalog = Catalog::Open(file);
    ASSERT_TRUE(catalog.ok()) << catalog.status().message();
    ASSERT_TRUE((*catalog)->Put(Row("hf/b@latest")).ok());
    ASSERT_TRUE((*catalog)->Put(Row("hf/a@latest")).ok());
  }
  auto catalog = Catalog::Open(file);
  ASSERT_TRUE(catalog.ok());
  const auto rows = (*catalog)->List();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2u);
  const Registration want = Row("hf/a@latest");
  const Registration& got = (*rows)[0];
  EXPECT_EQ(got.id, want.id);
  EXPECT_EQ(got.path, want.path);
  EXPECT_EQ(got.plugin_id, want.plugin_id);
  EXPECT_EQ(got.execution_format, want.execution_format);
  EXPECT_EQ(got.framework, want.framework);
  EXPECT_EQ(got.description, want.description);
  EXPECT_EQ(got.registered_unix_ns, want.registered_unix_ns);
}

TEST(CatalogTest, PutReplacesAndRemoveForgets) {
  auto catalog = Catalog::Open(":memory:");
  ASSERT_TRUE(catalog.ok());
  ASSERT_TRUE((*catalog)->Put(Row("x/y@1")).ok());
  Registration changed = Row("x/y@1");
  changed.path = "/elsewhere";
  ASSERT_TRUE((*catalog)->Put(changed).ok());
  ASSERT_EQ((*catalog)->List()->size(), 1u);
  EXPECT_EQ((*(*catalog)->List())[0].path, "/elsewhere");
  ASSERT_TRUE((*catalog)->Remove("x/y@1").ok());
  ASSERT_TRUE((*catalog)->Remove("x/y@1").ok());
  EXPECT_TRUE((*catalog)->List()->empty());
}

TEST(CatalogTest, LeavesAForeignFileAlone) {
  const fs::path file = FreshFile("foreign");
  std::ofstream(file)
      << "this is no database, but somebody's notes, which are longer than a hundred bytes so that "
         "SQLite reads a whole header of it and sees the difference.";
  const auto size = fs::file_size(file);
  const auto catalog = Catalog::Open(file);
  ASSERT_FALSE(catalog.ok());
  EXPECT_EQ(catalog.status().code(), Code::kDataLoss);
  EXPECT_NE(catalog.status().message().find(file.string()), std::string::npos);
  EXPECT_EQ(fs::file_size(file), size);
}

TEST(CatalogTest, SaysWhichFileItCannotOpen) {
  const auto catalog = Catalog::Open("/nonexistent-folder/registry.db");
  ASSERT_FALSE(catalog.ok());
  EXPECT_NE(catalog.status().message().find("/nonexistent-folder/registry.db"), std::string::npos);
}

}  // namespace
}  // namespace mlos::model
