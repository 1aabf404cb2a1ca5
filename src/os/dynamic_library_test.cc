// SPDX-License-Identifier: Apache-2.0
#include "os/dynamic_library.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace mlos::os {
namespace {

TEST(DynamicLibraryTest, SaysWhichFileIsMissing) {
  const auto library = DynamicLibrary::Open("/nowhere/libmlos_none.so");
  ASSERT_FALSE(library.ok());
  EXPECT_EQ(library.status().code(), Code::kNotFound);
  EXPECT_NE(library.status().message().find("/nowhere/libmlos_none.so"), std::string::npos);
}

TEST(DynamicLibraryTest, RefusesAFileThatIsNoLibrary) {
  const auto path =
      std::filesystem::temp_directory_path() / ("mlos_not_a_library_" + std::to_string(getpid()) + ".so");
  std::ofstream(path) << "plain text";
  const auto library = DynamicLibrary::Open(path);
  std::filesystem::remove(path);
  ASSERT_FALSE(library.ok());
  EXPECT_EQ(library.status().code(), Code::kUnimplemented);
}

TEST(DynamicLibraryTest, FindsSymbolsAndSaysWhichAreMissing) {
  const auto library = DynamicLibrary::Open(MLOS_TEST_LIBRARY);
  ASSERT_TRUE(library.ok()) << library.status().ToString();
  const auto symbol = library->Symbol("mlos_test_library_answer");
  ASSERT_TRUE(symbol.ok());
  EXPECT_EQ(reinterpret_cast<int (*)()>(*symbol)(), 42);
  const auto missing = library->Symbol("mlos_test_library_nothing");
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find("mlos_test_library_nothing"), std::string::npos);
}

}  // namespace
}  // namespace mlos::os
