// SPDX-License-Identifier: Apache-2.0
#include "os/machine_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::os {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MachineFactsTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(MakeDirectories((root_.path() / path).parent_path()).ok());
    ASSERT_TRUE(WriteFile(root_.path() / path, text).ok());
  }
  TemporaryDirectory root_;
};

TEST_F(MachineFactsTest, ReadsAnX86Machine) {
  Put("etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  Put("proc/cpuinfo",
      "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 fma avx sse4_2 avx512f\n\nprocessor\t: 1\n");
  Put("proc/meminfo", "MemTotal: 1 kB\nHugePages_Free:     12\nHugepagesize:       2048 kB\n");
  Put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  Put("proc/pressure/memory", "some avg10=0.00\n");
  const MachineFacts facts = ReadMachineFacts(root_.path());
  EXPECT_EQ(facts.distribution, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(facts.cpu_model, "Xeon");
  EXPECT_THAT(facts.cpu_features, ElementsAre("sse4_2", "avx", "fma", "avx2", "avx512f"));
  EXPECT_EQ(facts.huge_pages_free, 12U);
  EXPECT_EQ(facts.huge_page_bytes, 2U << 20U);
  EXPECT_EQ(facts.transparent_huge_pages, "madvise");
  EXPECT_TRUE(facts.memory_pressure);
  EXPECT_FALSE(facts.kernel_module);
}

TEST_F(MachineFactsTest, ReadsAnArmMachine) {
  Put("usr/lib/os-release", "PRETTY_NAME=Alpine\n");
  Put("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n");
  Put("dev/mlos-ml", "");
  const MachineFacts facts = ReadMachineFacts(root_.path());
  EXPECT_EQ(facts.distribution, "Alpine");
  EXPECT_THAT(facts.cpu_features, ElementsAre("asimd", "asimddp", "i8mm"));
  EXPECT_TRUE(facts.kernel_module);
}

TEST_F(MachineFactsTest, AnEmptyMachineHasNoFactsButItsKernel) {
  Put("proc/meminfo", "HugePages_Free\nHugepagesize: x\n");
  const MachineFacts facts = ReadMachineFacts(root_.path());
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_GE(facts.cpus, 1);
  EXPECT_TRUE(facts.cpu_features.empty());
  EXPECT_EQ(facts.huge_page_bytes, 0U);
}

TEST(MachineFactsOfThisMachineTest, ProcessorIsKnown) {
  const MachineFacts facts = ReadMachineFacts();
  EXPECT_FALSE(facts.cpu_features.empty()) << "this machine has neither SSE 4.2 nor Advanced SIMD?";
}

TEST(FileSystemNameTest, KnowsProcByItsNumberAndMissingFoldersByName) {
  EXPECT_EQ(FileSystemName("/proc").value_or(""), "0x9fa0");
  EXPECT_EQ(FileSystemName("/no/such/folder").status().code(), Code::kNotFound);
}

TEST(TryLibraryTest, TellsLibrariesFromOtherFiles) {
  EXPECT_TRUE(TryLibrary(MLOS_TEST_LIBRARY, "mlos_test_library_answer").ok())
      << TryLibrary(MLOS_TEST_LIBRARY, "mlos_test_library_answer").ToString();
  EXPECT_THAT(TryLibrary(MLOS_TEST_LIBRARY, "question").message(), HasSubstr("question"));
  TemporaryDirectory folder;
  ASSERT_TRUE(WriteFile(folder.path() / "libmlos_x.so", "no library").ok());
  EXPECT_THAT(TryLibrary(folder.path() / "libmlos_x.so", "answer").message(), HasSubstr("libmlos_x.so"));
}

}  // namespace
}  // namespace mlos::os
