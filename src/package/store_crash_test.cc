// SPDX-License-Identifier: Apache-2.0
// Installs that are killed or fail at every single step, and installs that race.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "os/directory.h"
#include "os/fault.h"
#include "os/file.h"
#include "package/store.h"
#include "package/testing/install_small.h"

namespace mlos::package {
namespace {

// What the hook does; set before it is installed, in the process that it acts on.
std::atomic<int> steps_left{0};
bool without_exchange = false;

int KillAtStep(std::string_view step, const char*) {
  if (steps_left.fetch_sub(1) == 1) kill(getpid(), SIGKILL);
  return without_exchange && step == "exchange" ? EINVAL : 0;
}

int FailAtStep(std::string_view step, const char*) {
  // Removing never fails for want of space.
  if (step == "unlink") return 0;
  return steps_left.fetch_sub(1) == 1 ? ENOSPC : 0;
}

const ModelRef kRef{"hf", "org/model", "v1"};
const FileContents kOld = {{"config.json", "old config"}, {"weights", "old weights"}};
const FileContents kNew = {
    {"config.json", "new config"}, {"sub/folder/weights", "new weights"}, {"shared", "old weights"}};

// Runs `work` in a child process; answers its wait status.
template <typename Work>
int InChild(Work work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

class StoreCrashTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { without_exchange = GetParam(); }
  void TearDown() override {
    os::SetFaultHookForTesting(nullptr);
    without_exchange = false;
  }

  // What the store shows of kRef: "none", "old", "new"; anything else is a half package.
  static std::string Shown(const std::filesystem::path& root) {
    auto store = Store::Open(root);
    if (!store.ok()) return store.status().message();
    const auto list = (*store)->List();
    if (!list.ok()) return list.status().message();
    if (list->empty()) return "none";
    if (list->size() != 1) return std::to_string(list->size()) + " packages";
    const InstalledPackage& package = list->front();
    if (!package.problem.empty()) return package.problem;
    const auto problems = (*store)->Verify(kRef);
    if (!problems.ok()) return problems.status().message();
    if (!problems->empty()) return problems->front().path + " " + problems->front().what;
    const std::string config = os::ReadFile(package.dir / "config.json", 100).value_or("");
    if (config == "old config" && package.manifest.files.size() == kOld.size()) return "old";
    if (config == "new config" && package.manifest.files.size() == kNew.size()) return "new";
    return "mixed";
  }

  static bool InstallIn(const std::filesystem::path& root, const FileContents& files) {
    auto store = Store::Open(root);
    return store.ok() && InstallSmall(**store, kRef, files).ok();
  }

  // Kills a new install at its n-th step for every n; `before` is what was installed first.
  static void KillEverywhere(const FileContents* before) {
    std::set<std::string> seen;
    int n = 0;
    for (bool killed = true; killed;) {
      ++n;
      ASSERT_LT(n, 500) << "the install never came to its end";
      const os::TemporaryDirectory temporary(FastFolder());
      const std::filesystem::path root = temporary.path() / "store";
      if (before != nullptr) {
        ASSERT_TRUE(InstallIn(root, *before));
      }
      const int status = InChild([&] {
        steps_left = n;
        os::SetFaultHookForTesting(KillAtStep);
        return InstallIn(root, kNew) ? 0 : 1;
      });
      killed = WIFSIGNALED(status);
      if (!killed) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
      }
      const std::string shown = Shown(root);
      seen.insert(shown);
      const std::set<std::string> good = {before == nullptr ? "none" : "old", "new"};
      ASSERT_TRUE(good.contains(shown)) << "killed at step " << n << ": " << shown;
      ASSERT_TRUE(InstallIn(root, kNew)) << "the rerun after a kill at step " << n;
      ASSERT_EQ(Shown(root), "new") << "the rerun after a kill at step " << n;
      ASSERT_TRUE(os::ListDirectory(root / "staging")->empty()) << "step " << n;
      ASSERT_TRUE(os::ListDirectory(root / "incoming")->empty()) << "step " << n;
      ASSERT_EQ(os::ListDirectory(root / "blobs")->size(), 3u) << "garbage, or a blob lost, at step " << n;
    }
    EXPECT_EQ(seen.size(), 2u) << "both outcomes must have been met";
    EXPECT_GT(n, 30);
  }
};

TEST_P(StoreCrashTest, AnInstallKilledAtAnyStepIsNeverHalfListedAndItsRerunCompletes) {
  KillEverywhere(nullptr);
}

TEST_P(StoreCrashTest, AReplacementKilledAtAnyStepShowsTheOldOrTheNewPackage) { KillEverywhere(&kOld); }

TEST_P(StoreCrashTest, ARemovalKilledAtAnyStepShowsThePackageOrNone) {
  std::set<std::string> seen;
  int n = 0;
  for (bool killed = true; killed;) {
    ASSERT_LT(++n, 200);
    const os::TemporaryDirectory temporary(FastFolder());
    const std::filesystem::path root = temporary.path() / "store";
    ASSERT_TRUE(InstallIn(root, kOld));
    const int status = InChild([&] {
      auto store = Store::Open(root);
      steps_left = n;
      os::SetFaultHookForTesting(KillAtStep);
      return (*store)->Remove(kRef).ok() ? 0 : 1;
    });
    killed = WIFSIGNALED(status);
    const std::string shown = Shown(root);
    seen.insert(shown);
    ASSERT_TRUE(shown == "old" || shown == "none") << "killed at step " << n << ": " << shown;
    ASSERT_TRUE(InstallIn(root, kNew));
    ASSERT_EQ(Shown(root), "new");
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST_P(StoreCrashTest, AFullDiskAtAnyStepIsResourceExhaustedAndTheRerunCompletes) {
  int n = 0;
  for (bool failed = true; failed;) {
    ASSERT_LT(++n, 500);
    const os::TemporaryDirectory temporary(FastFolder());
    const std::filesystem::path root = temporary.path() / "store";
    ASSERT_TRUE(InstallIn(root, kOld));
    auto store = Store::Open(root);
    steps_left = n;
    os::SetFaultHookForTesting(FailAtStep);
    const Status status = InstallSmall(**store, kRef, kNew).status();
    os::SetFaultHookForTesting(nullptr);
    failed = steps_left <= 0;
    const std::string shown = Shown(root);
    if (status.ok()) {
      ASSERT_EQ(shown, "new") << "step " << n;
    } else {
      ASSERT_EQ(status.code(), Code::kResourceExhausted) << "step " << n << ": " << status.message();
      // The new package may be in place when only the last sync failed.
      ASSERT_TRUE(shown == "old" || shown == "new") << "step " << n << ": " << shown;
    }
    ASSERT_TRUE(InstallIn(root, kNew)) << "the rerun after step " << n;
    ASSERT_EQ(Shown(root), "new");
  }
  EXPECT_GT(n, 30);
}

INSTANTIATE_TEST_SUITE_P(Exchange, StoreCrashTest, testing::Values(false, true), [](const auto& param_info) {
  return param_info.param ? "NotSupported" : "Supported";
});

// Everything that a published package consists of is on disk before the rename that publishes it.
TEST(StoreSyncTest, NothingIsPublishedBeforeItIsOnDisk) {
  static std::vector<std::pair<std::string, std::string>>* log = nullptr;
  std::vector<std::pair<std::string, std::string>> steps;
  const os::TemporaryDirectory temporary(FastFolder());
  auto store = Store::Open(temporary.path() / "store");
  ASSERT_TRUE(store.ok());
  log = &steps;
  os::SetFaultHookForTesting([](std::string_view step, const char* path) {
    log->emplace_back(step, path);
    return 0;
  });
  const auto package = InstallSmall(**store, kRef, kNew);
  os::SetFaultHookForTesting(nullptr);
  ASSERT_TRUE(package.ok());
  const auto position = [&](const std::string& step, const std::string& path_end, size_t from = 0) {
    for (size_t i = from; i < steps.size(); ++i) {
      if (steps[i].first == step && steps[i].second.ends_with(path_end)) return i;
    }
    return steps.size();
  };
  const size_t publish = position("rename", "/packages/hf/org/model/@v1");
  ASSERT_LT(publish, steps.size());
  for (const char* path : {"/tree", "/tree/sub", "/tree/sub/folder", "/blobs", "/tree/manifest.yaml"}) {
    EXPECT_LT(position("sync", path), publish) << path;
  }
  EXPECT_LT(position("sync", "/packages/hf/org/model", publish), steps.size())
      << "the publishing name itself";
  // Each blob: the last sync of what it was before comes after the last write to it, and before its name.
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].first != "write" || steps[i].second.find("/incoming/") == std::string::npos) continue;
    const size_t sync = position("sync", steps[i].second, i);
    EXPECT_LT(sync, position("rename", "", i)) << steps[i].second;
  }
}

TEST(StoreRaceTest, EightProcessesThatInstallOneModelMakeOnePackage) {
  const os::TemporaryDirectory temporary(FastFolder());
  const std::filesystem::path root = temporary.path() / "store";
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      auto store = Store::Open(root);
      if (!store.ok()) _exit(9);
      auto install = (*store)->Begin(kRef);
      if (!install.ok()) _exit(8);
      if ((*install)->existing().has_value()) _exit((*install)->Discard().ok() ? 0 : 7);
      for (const auto& [path, contents] : kNew) {
        if (!(*install)->AddContents(path, contents).ok()) _exit(6);
      }
      _exit((*install)->Commit(SmallManifest()).ok() ? 1 : 5);
    }
    children.push_back(child);
  }
  int installed = 0;
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_LE(WEXITSTATUS(status), 1);
    installed += WEXITSTATUS(status);
  }
  EXPECT_EQ(installed, 1);
  auto store = Store::Open(root);
  EXPECT_EQ((*store)->List()->size(), 1u);
  EXPECT_TRUE((*store)->Verify(kRef)->empty());
}

// Models that share files come and go while garbage is collected all the time; none ever lacks a file.
TEST(StoreRaceTest, GarbageCollectionNeverTakesAFileThatAnInstallHasLinked) {
  const os::TemporaryDirectory temporary(FastFolder());
  const std::filesystem::path root = temporary.path() / "store";
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread collector([&] {
    auto store = Store::Open(root);
    while (!stop) failures += !(*store)->CollectGarbage().ok();
  });
  std::vector<std::thread> installers;
  for (int i = 0; i < 3; ++i) {
    installers.emplace_back([&, i] {
      auto store = Store::Open(root);
      const ModelRef ref{"hf", "m" + std::to_string(i), "v1"};
      for (int round = 0; round < 15; ++round) {
        const Status installed =
            InstallSmall(**store, ref, {{"shared", "shared"}, {"own", std::to_string(i)}}).status();
        EXPECT_TRUE(installed.ok()) << installed.ToString();
        const auto problems = (*store)->Verify(ref);
        failures += !problems.ok() || !problems->empty();
        failures += !(*store)->List().ok();
        failures += !(*store)->Remove(ref).ok();
      }
    });
  }
  for (std::thread& thread : installers) thread.join();
  stop = true;
  collector.join();
  EXPECT_EQ(failures, 0);
  EXPECT_TRUE(os::ListDirectory(root / "packages")->empty());
}

// A reader that looks while the package is replaced again and again always finds a sound one.
TEST(StoreRaceTest, AReaderNeverSeesTheGapOfAReplacement) {
  const os::TemporaryDirectory temporary(FastFolder());
  auto store = Store::Open(temporary.path() / "store");
  ASSERT_TRUE(InstallSmall(**store, kRef, kOld).ok());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int round = 0; round < 30; ++round)
      EXPECT_TRUE(InstallSmall(**store, kRef, round % 2 == 0 ? kNew : kOld).ok());
    stop = true;
  });
  int looks = 0;
  int bad = 0;
  while (!stop) {
    ++looks;
    bad += !(*store)->Find(kRef).ok();
    const auto list = (*store)->List();
    bad += !list.ok() || list->size() != 1;
  }
  writer.join();
  EXPECT_EQ(bad, 0) << "of " << looks;
}

}  // namespace
}  // namespace mlos::package
