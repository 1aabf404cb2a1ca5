// SPDX-License-Identifier: Apache-2.0
#include "model/catalog.h"

#include <gtest/gtest.h>

#include <sqlite3.h>

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
          .registered_unix_ns = 1'700'000'000'000'000'001,
          .keep_alive_ns = -1,
          .pinned = true};
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
  EXPECT_EQ(got.keep_alive_ns, want.keep_alive_ns);
  EXPECT_EQ(got.pinned, want.pinned);
}

TEST(CatalogTest, WhatLatestMeansSurvivesAndIsForgotten) {
  const fs::path file = FreshFile("latest");
  {
    auto catalog = Catalog::Open(file);
    ASSERT_TRUE(catalog.ok());
    ASSERT_TRUE((*catalog)->PutLatest("hf/a", "hf/a@v1").ok());
    ASSERT_TRUE((*catalog)->PutLatest("hf/a", "hf/a@v2").ok());
    ASSERT_TRUE((*catalog)->PutLatest("hf/b", "hf/b@v1").ok());
    ASSERT_TRUE((*catalog)->PutLatest("hf/b", "").ok());
  }
  auto catalog = Catalog::Open(file);
  ASSERT_TRUE(catalog.ok());
  EXPECT_EQ((*catalog)->ListLatest().value(), (std::map<std::string, std::string>{{"hf/a", "hf/a@v2"}}));
}

TEST(CatalogTest, ARegistryOfTheFirstVersionIsTakenOver) {
  const fs::path file = FreshFile("migrate");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db,
                   "CREATE TABLE model (id TEXT PRIMARY KEY, path TEXT NOT NULL, plugin_id TEXT NOT NULL,"
                   " execution_format TEXT NOT NULL, framework TEXT NOT NULL, description TEXT NOT NULL,"
                   " registered_unix_ns INTEGER NOT NULL);"
                   "INSERT INTO model VALUES ('hf/a@latest', '/p', '', 'onnx', '', '', 7);"
                   "PRAGMA application_id = 1835814739; PRAGMA user_version = 1;",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(db);
  for (int round = 0; round < 2; ++round) {
    auto catalog = Catalog::Open(file);
    ASSERT_TRUE(catalog.ok()) << catalog.status().message();
    const auto rows = (*catalog)->List();
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    ASSERT_EQ(rows->size(), 1u);
    EXPECT_EQ((*rows)[0].registered_unix_ns, 7);
    EXPECT_FALSE((*rows)[0].keep_alive_ns.has_value());
    EXPECT_FALSE((*rows)[0].pinned);
    EXPECT_EQ((*rows)[0].isolation, "");
    EXPECT_EQ((*rows)[0].batching, "");
    EXPECT_EQ((*rows)[0].max_batch, 0U);
  }
}

TEST(CatalogTest, PutReplacesAndRemoveForgets) {
  auto catalog = Catalog::Open(":memory:");
  ASSERT_TRUE(catalog.ok());
  ASSERT_TRUE((*catalog)->Put(Row("x/y@1")).ok());
  Registration changed = Row("x/y@1");
  changed.path = "/elsewhere";
  changed.isolation = "none";
  changed.batching = "on";
  changed.max_batch = 8;
  ASSERT_TRUE((*catalog)->Put(changed).ok());
  ASSERT_EQ((*catalog)->List()->size(), 1u);
  EXPECT_EQ((*(*catalog)->List())[0].path, "/elsewhere");
  EXPECT_EQ((*(*catalog)->List())[0].isolation, "none");
  EXPECT_EQ((*(*catalog)->List())[0].batching, "on");
  EXPECT_EQ((*(*catalog)->List())[0].max_batch, 8U);
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
