// SPDX-License-Identifier: Apache-2.0
#include "package/store.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "os/directory.h"
#include "os/fault.h"
#include "os/file.h"
#include "package/digest.h"
#include "package/testing/install_small.h"

namespace mlos::package {
namespace {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = Store::Open(root());
    ASSERT_TRUE(store.ok()) << store.status().message();
    store_ = std::move(*store);
  }
  void TearDown() override { os::SetFaultHookForTesting(nullptr); }
  std::filesystem::path root() const { return temporary_.path() / "store"; }
  std::filesystem::path Blob(const std::string& contents) const {
    return root() / "blobs" / ("sha256-" + Sha256Hex(contents));
  }
  static ModelRef Ref(const std::string& text) { return *ParseModelRef(text); }
  InstalledPackage InstallOne(const std::string& ref, const FileContents& files) {
    auto package = InstallSmall(*store_, Ref(ref), files);
    EXPECT_TRUE(package.ok()) << package.status().message();
    return package.value_or({});
  }
  std::vector<std::string> Listed() const {
    std::vector<std::string> refs;
    const auto list = store_->List();
    EXPECT_TRUE(list.ok()) << list.status().message();
    if (list.ok()) {
      for (const auto& p : *list) refs.push_back(p.ref.ToString() + (p.problem.empty() ? "" : " damaged"));
    }
    return refs;
  }

  os::TemporaryDirectory temporary_{FastFolder()};
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, AnInstalledPackageIsListedFoundAndIntact) {
  const auto package = InstallOne("hf/org/bert@v1", {{"config.json", "{}"}, {"1_Pooling/config.json", "[]"}});
  EXPECT_EQ(package.size_bytes, 4u);
  EXPECT_EQ(Listed(), std::vector<std::string>{"hf/org/bert@v1"});
  const auto found = store_->Find(Ref("hf/org/bert@v1"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->dir, root() / "packages/hf/org/bert/@v1");
  EXPECT_EQ(found->manifest, package.manifest);
  EXPECT_EQ(*os::ReadFile(found->dir / "1_Pooling/config.json", 10), "[]");
  EXPECT_EQ(os::Stat(found->dir / "config.json")->mode, 0444u);
  EXPECT_TRUE(store_->Verify(found->ref)->empty());
  EXPECT_TRUE(os::ListDirectory(root() / "staging")->empty());
  EXPECT_TRUE(os::ListDirectory(root() / "incoming")->empty());
}

TEST_F(StoreTest, ThePackageFolderOpensAnywhere) {
  const auto package = InstallOne("hf/a@v1", {{"f", "x"}});
  std::filesystem::copy(package.dir, temporary_.path() / "elsewhere");
  const auto opened = OpenPackage(temporary_.path() / "elsewhere");
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->ref, Ref("hf/a@v1"));
  EXPECT_EQ(OpenPackage(temporary_.path()).status().code(), Code::kNotFound);
}

TEST_F(StoreTest, NestedNamesAndLabelsNeverCollide) {
  for (const char* ref : {"hf/a@b", "hf/a/b@latest", "hf/a/b/c@latest", "hf/a@refs/pr/1", "hf/a@refs"})
    InstallOne(ref, {{"f", ref}});
  EXPECT_EQ(Listed(), (std::vector<std::string>{"hf/a/b/c@latest", "hf/a/b@latest", "hf/a@b", "hf/a@refs",
                                                "hf/a@refs/pr/1"}));
  ASSERT_TRUE(store_->Remove(Ref("hf/a@b")).ok());
  EXPECT_EQ(Listed(),
            (std::vector<std::string>{"hf/a/b/c@latest", "hf/a/b@latest", "hf/a@refs", "hf/a@refs/pr/1"}));
  EXPECT_EQ(*os::ReadFile(store_->Find(Ref("hf/a@refs/pr/1"))->dir / "f", 100), "hf/a@refs/pr/1");
}

TEST_F(StoreTest, NotFoundTellsWhatIsInstalledUnderThatName) {
  InstallOne("hf/a@v1", {{"f", "x"}});
  InstallOne("hf/a/other@v9", {{"f", "x"}});
  const Status status = store_->Find(Ref("hf/a@v2")).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "hf/a@v2 is not installed; installed under that name: hf/a@v1");
  EXPECT_EQ(store_->Remove(Ref("hf/b")).message(),
            "hf/b@latest is not installed; nothing is installed under that name");
}

TEST_F(StoreTest, EqualFilesAreStoredOnceAndLiveAsLongAsOnePackageHasThem) {
  const auto a = InstallOne("hf/a@v1", {{"weights", "same"}, {"a", "a only"}});
  const auto b = InstallOne("hf/b@v1", {{"deep/weights", "same"}});
  EXPECT_EQ(os::Stat(a.dir / "weights")->inode, os::Stat(b.dir / "deep/weights")->inode);
  ASSERT_TRUE(store_->Remove(a.ref).ok());
  EXPECT_FALSE(os::Exists(Blob("a only")));
  EXPECT_TRUE(os::Exists(Blob("same")));
  EXPECT_TRUE(store_->Verify(b.ref)->empty());
  ASSERT_TRUE(store_->Remove(b.ref).ok());
  EXPECT_TRUE(os::ListDirectory(root() / "blobs")->empty());
  EXPECT_TRUE(os::ListDirectory(root() / "packages")->empty());
}

TEST_F(StoreTest, LinkBlobTakesWhatIsThereAndOnlyThat) {
  InstallOne("hf/a@v1", {{"weights", "same"}});
  auto install = store_->Begin(Ref("hf/b"));
  ASSERT_TRUE(install.ok());
  EXPECT_TRUE(*(*install)->LinkBlob("w", Sha256Hex("same")));
  EXPECT_FALSE(*(*install)->LinkBlob("other", Sha256Hex("other")));
  EXPECT_EQ((*install)->files(), (std::vector<PackageFile>{{"w", 4, Sha256Hex("same")}}));
  EXPECT_EQ(*os::ReadFile((*install)->dir() / "w", 10), "same");
}

TEST_F(StoreTest, ReplacingSwapsTheContentsAndFreesTheOldOnes) {
  InstallOne("hf/a@v1", {{"old", "old contents"}, {"both", "same"}});
  InstallOne("hf/a@v1", {{"new", "new contents"}, {"both", "same"}});
  const auto found = store_->Find(Ref("hf/a@v1"));
  EXPECT_EQ(found->manifest.files.size(), 2u);
  EXPECT_FALSE(os::Exists(found->dir / "old"));
  EXPECT_TRUE(store_->Verify(found->ref)->empty());
  EXPECT_FALSE(os::Exists(Blob("old contents")));
}

TEST_F(StoreTest, ReplacingWorksWithoutExchange) {
  os::SetFaultHookForTesting(
      [](std::string_view step, const char*) { return step == "exchange" ? EINVAL : 0; });
  InstallOne("hf/a@v1", {{"old", "old contents"}});
  InstallOne("hf/a@v1", {{"new", "new contents"}});
  EXPECT_EQ(Listed(), std::vector<std::string>{"hf/a@v1"});
  EXPECT_EQ(*os::ListDirectory(root() / "packages/hf/a"), std::vector<std::string>{"@v1"});
  EXPECT_TRUE(store_->Verify(Ref("hf/a@v1"))->empty());
}

TEST_F(StoreTest, WorksWithoutHardLinks) {
  os::SetFaultHookForTesting([](std::string_view step, const char*) { return step == "link" ? EPERM : 0; });
  const auto package = InstallOne("hf/a@v1", {{"f", "contents"}});
  EXPECT_EQ(*os::ReadFile(package.dir / "f", 100), "contents");
  EXPECT_EQ(os::Stat(package.dir / "f")->mode, 0444u);
  EXPECT_TRUE(store_->Verify(package.ref)->empty());
}

TEST_F(StoreTest, VerifyFindsEveryKindOfDamage) {
  const auto package =
      InstallOne("hf/a@v1", {{"gone", "1"}, {"shorter", "22"}, {"changed", "333"}, {"fine", "4"}});
  std::filesystem::remove(package.dir / "gone");
  ASSERT_TRUE(os::WriteFile(package.dir / "shorter", "2").ok());
  ASSERT_TRUE(os::WriteFile(package.dir / "changed", "3x3").ok());
  ASSERT_TRUE(os::WriteFile(package.dir / "extra", "").ok());
  const auto problems = store_->Verify(package.ref);
  ASSERT_TRUE(problems.ok());
  std::vector<std::string> said;
  for (const auto& p : *problems) said.push_back(p.path + ": " + p.what);
  EXPECT_EQ(said,
            (std::vector<std::string>{"changed: sha256 differs", "gone: missing",
                                      "shorter: size is 1, manifest says 2", "extra: not in the manifest"}));
  EXPECT_EQ(store_->Find(package.ref).status().code(), Code::kDataLoss);
  EXPECT_EQ(Listed(), std::vector<std::string>{"hf/a@v1 damaged"});
}

TEST_F(StoreTest, AReinstallAfterVerifyDoesNotLinkTheDamagedContents) {
  const auto package = InstallOne("hf/a@v1", {{"f", "contents"}});
  ASSERT_TRUE(os::WriteFile(package.dir / "f", "cOntents").ok());
  ASSERT_EQ(store_->Verify(package.ref)->size(), 1u);
  auto install = store_->Begin(package.ref);
  EXPECT_FALSE(*(*install)->LinkBlob("f", Sha256Hex("contents")));
  install->reset();
  InstallOne("hf/a@v1", {{"f", "contents"}});
  EXPECT_TRUE(store_->Verify(package.ref)->empty());
}

TEST_F(StoreTest, AReinstallOfAVisiblyDamagedPackageDoesNotLinkItEither) {
  const auto package = InstallOne("hf/a@v1", {{"f", "contents"}});
  ASSERT_TRUE(os::WriteFile(package.dir / "f", "cut").ok());
  auto install = store_->Begin(package.ref);
  ASSERT_TRUE(install.ok());
  EXPECT_FALSE((*install)->existing().has_value());
  EXPECT_FALSE(*(*install)->LinkBlob("f", Sha256Hex("contents")));
}

TEST_F(StoreTest, ABrokenManifestIsListedAsDamagedAndDoesNotHideTheOthers) {
  InstallOne("hf/a@v1", {{"f", "x"}});
  const auto b = InstallOne("hf/b@v1", {{"f", "x"}});
  ASSERT_TRUE(os::WriteFile(b.dir / "manifest.yaml", "kind: [").ok());
  EXPECT_EQ(Listed(), (std::vector<std::string>{"hf/a@v1", "hf/b@v1 damaged"}));
  EXPECT_TRUE(store_->Remove(b.ref).ok());
  EXPECT_EQ(Listed(), std::vector<std::string>{"hf/a@v1"});
}

TEST_F(StoreTest, AManifestThatNamesAnotherModelIsDamage) {
  const auto a = InstallOne("hf/a@v1", {{"f", "x"}});
  std::filesystem::copy(a.dir, root() / "packages/hf/a/@v2");
  EXPECT_EQ(Listed(), (std::vector<std::string>{"hf/a@v1", "hf/a@v2 damaged"}));
}

TEST_F(StoreTest, ASecondInstallOfTheModelWaitsAndFindsItInstalled) {
  auto first = store_->Begin(Ref("hf/a@v1"));
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE((*first)->waited());
  EXPECT_EQ(store_->Begin(Ref("hf/a@v1"), false).status().code(), Code::kUnavailable);
  EXPECT_EQ(store_->Begin(Ref("hf/a@v2"), false).status().code(), Code::kOk);
  bool existed = false;
  bool waited = false;
  std::thread second([&] {
    auto install = store_->Begin(Ref("hf/a@v1"));
    if (!install.ok()) return;
    existed = (*install)->existing().has_value();
    waited = (*install)->waited();
  });
  ASSERT_TRUE((*first)->AddContents("f", "x").ok());
  ASSERT_TRUE((*first)->Commit(SmallManifest()).ok());
  second.join();
  EXPECT_TRUE(existed);
  (void)waited;  // True or not: the thread may come only after the commit.
}

// Ctrl-C while another process installs: a handler without SA_RESTART ends the wait.
TEST_F(StoreTest, ASignalEndsTheWaitForAnotherInstall) {
  auto first = store_->Begin(Ref("hf/a@v1"));
  ASSERT_TRUE(first.ok());
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  struct sigaction old_action = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &old_action), 0);
  std::atomic<bool> done{false};
  Status status;
  std::thread waiter([&] {
    status = store_->Begin(Ref("hf/a@v1")).status();
    done = true;
  });
  // Until it has been met in the wait: a signal that comes before has no effect.
  while (!done) {
    pthread_kill(waiter.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  waiter.join();
  sigaction(SIGUSR1, &old_action, nullptr);
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_NE(status.message().find("was interrupted"), std::string::npos) << status.message();
}

TEST_F(StoreTest, AnInstallThatWasGivenUpIsNotListedAndItsFilesAreFoundAgain) {
  {
    auto install = store_->Begin(Ref("hf/a@v1"));
    ASSERT_TRUE((*install)->AddContents("weights", "big").ok());
    ASSERT_TRUE(os::WriteFile((*install)->IncomingPath("url 1"), "part").ok());
  }
  EXPECT_TRUE(Listed().empty());
  ASSERT_TRUE(store_->CollectGarbage().ok());
  auto install = store_->Begin(Ref("hf/a@v1"));
  EXPECT_TRUE((*install)->files().empty());
  EXPECT_TRUE(os::ListDirectory((*install)->dir())->empty());
  EXPECT_EQ(*os::ReadFile((*install)->IncomingPath("url 1"), 10), "part");
  ASSERT_TRUE(store_->CollectGarbage().ok());
  EXPECT_TRUE(*(*install)->LinkBlob("weights", Sha256Hex("big")));
}

TEST_F(StoreTest, AnInstallThatAddedNothingLeavesNothing) {
  {
    auto install = store_->Begin(Ref("hf/a@v1"));
  }
  EXPECT_TRUE(os::ListDirectory(root() / "staging")->empty());
  EXPECT_TRUE(os::ListDirectory(root() / "incoming")->empty());
}

TEST_F(StoreTest, DiscardFreesEverything) {
  auto install = store_->Begin(Ref("hf/a@v1"));
  ASSERT_TRUE((*install)->AddContents("weights", "big").ok());
  ASSERT_TRUE(os::WriteFile((*install)->IncomingPath("url 1"), "part").ok());
  ASSERT_TRUE((*install)->Discard().ok());
  EXPECT_EQ((*install)->AddContents("x", "y").status().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(os::ListDirectory(root() / "blobs")->empty());
  EXPECT_TRUE(os::ListDirectory(root() / "incoming")->empty());
  EXPECT_TRUE(store_->Begin(Ref("hf/a@v1"), false).ok()) << "the lock was kept";
}

TEST_F(StoreTest, GarbageIsStagingOlderThanADayThatNobodyHolds) {
  auto held = store_->Begin(Ref("hf/held"));
  ASSERT_TRUE((*held)->AddContents("f", "held").ok());
  {
    auto old = store_->Begin(Ref("hf/old"));
    ASSERT_TRUE((*old)->AddContents("f", "12345").ok());
    ASSERT_TRUE(os::WriteFile((*old)->IncomingPath("u"), "678").ok());
    auto young = store_->Begin(Ref("hf/young"));
    ASSERT_TRUE((*young)->AddContents("f", "young").ok());
  }
  EXPECT_EQ(*store_->CollectGarbage(), 0u);
  const auto yesterday = std::filesystem::file_time_type::clock::now() - std::chrono::hours(25);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root())) {
    if (entry.path().string().find("young") == std::string::npos)
      std::filesystem::last_write_time(entry.path(), yesterday);
  }
  EXPECT_EQ(*store_->CollectGarbage(), 8u);
  EXPECT_FALSE(os::Exists(Blob("12345")));
  EXPECT_TRUE(os::Exists(Blob("young")));
  ASSERT_TRUE((*held)->Commit(SmallManifest()).ok());
  EXPECT_TRUE(store_->Verify(Ref("hf/held"))->empty());
}

TEST_F(StoreTest, AddCopyDoesNotShareWithTheOwner) {
  ASSERT_TRUE(os::WriteFile(temporary_.path() / "mine", "before").ok());
  auto install = store_->Begin(Ref("local/a"));
  const auto added = (*install)->AddCopy("f", temporary_.path() / "mine");
  ASSERT_TRUE(added.ok()) << added.status().message();
  EXPECT_EQ(*added, (PackageFile{"f", 6, Sha256Hex("before")}));
  ASSERT_TRUE(os::WriteFile(temporary_.path() / "mine", "after!").ok());
  EXPECT_EQ(*os::ReadFile((*install)->dir() / "f", 10), "before");
  EXPECT_EQ(os::Stat(temporary_.path() / "mine")->mode, 0644u);
  EXPECT_EQ((*install)->AddCopy("g", temporary_.path() / "none").status().code(), Code::kNotFound);
  EXPECT_EQ((*install)->AddCopy("g", temporary_.path()).status().code(), Code::kInvalidArgument);
}

TEST_F(StoreTest, BadPathsAndDigestsAreRefused) {
  auto install = store_->Begin(Ref("hf/a"));
  for (const char* path : {"../x", "/x", "", "manifest.yaml", "a/../../x"}) {
    EXPECT_EQ((*install)->AddContents(path, "x").status().code(), Code::kInvalidArgument) << path;
    EXPECT_EQ((*install)->LinkBlob(path, std::string(64, 'a')).status().code(), Code::kInvalidArgument)
        << path;
  }
  EXPECT_EQ((*install)->LinkBlob("x", "../../etc/passwd").status().code(), Code::kInvalidArgument);
  ASSERT_TRUE((*install)->AddContents("a", "x").ok());
  ASSERT_TRUE((*install)->AddContents("b/c", "x").ok());
  EXPECT_EQ((*install)->AddContents("a/b", "x").status().code(), Code::kInvalidArgument);
  EXPECT_EQ((*install)->AddContents("b", "x").status().code(), Code::kInvalidArgument);
}

TEST_F(StoreTest, CommitRefusesWhatWouldNotReadBack) {
  auto install = store_->Begin(Ref("hf/a"));
  EXPECT_EQ((*install)->Commit(SmallManifest()).status().code(), Code::kFailedPrecondition) << "no files";
  ASSERT_TRUE((*install)->AddContents("f", "x").ok());
  Manifest bad = SmallManifest();
  bad.execution_files = {{"not there", "onnx", "single"}};
  EXPECT_EQ((*install)->Commit(bad).status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(os::WriteFile((*install)->dir() / "smuggled", "").ok());
  EXPECT_EQ((*install)->Commit(SmallManifest()).status().code(), Code::kFailedPrecondition);
  std::filesystem::remove((*install)->dir() / "smuggled");
  EXPECT_TRUE(Listed().empty());
  EXPECT_TRUE((*install)->Commit(SmallManifest()).ok());
  EXPECT_EQ((*install)->Commit(SmallManifest()).status().code(), Code::kFailedPrecondition);
}

TEST_F(StoreTest, AFileCanBeTakenOutAgain) {
  auto install = store_->Begin(Ref("hf/a"));
  ASSERT_TRUE((*install)->AddContents("d/f", "x").ok());
  ASSERT_TRUE((*install)->AddContents("g", "y").ok());
  ASSERT_TRUE((*install)->RemoveFile("d/f").ok());
  EXPECT_EQ((*install)->RemoveFile("d/f").code(), Code::kNotFound);
  const auto package = (*install)->Commit(SmallManifest());
  ASSERT_TRUE(package.ok());
  EXPECT_EQ(*os::ListDirectory(package->dir), (std::vector<std::string>{"g", "manifest.yaml"}));
}

TEST_F(StoreTest, RemoveWhileInstallingIsUnavailable) {
  InstallOne("hf/a@v1", {{"f", "x"}});
  auto install = store_->Begin(Ref("hf/a@v1"));
  EXPECT_TRUE((*install)->existing().has_value());
  EXPECT_EQ(store_->Remove(Ref("hf/a@v1")).code(), Code::kUnavailable);
}

TEST_F(StoreTest, AReadOnlyStoreIsListedAndSaysWhyItCannotBeWritten) {
  const std::filesystem::path disk = temporary_.path() / "disk";
  ASSERT_TRUE(os::MakeDirectories(disk).ok());
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=1000000") != 0)
    GTEST_SKIP() << "needs the right to mount a tmpfs";
  Status begin, remove, empty;
  std::vector<InstalledPackage> list;
  {
    auto store = Store::Open(disk / "store");
    EXPECT_TRUE(InstallSmall(**store, Ref("hf/a"), {{"f", "x"}}).ok());
    EXPECT_EQ(mount("none", disk.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    store = Store::Open(disk / "store");
    EXPECT_TRUE(store.ok()) << store.status().message();
    if (store.ok()) {
      list = (*store)->List().value_or({});
      begin = (*store)->Begin(Ref("hf/b")).status();
      remove = (*store)->Remove(Ref("hf/a"));
      EXPECT_TRUE((*store)->Verify(Ref("hf/a"))->empty());
    }
    empty = Store::Open(disk / "other").status();
  }
  umount(disk.c_str());
  EXPECT_EQ(list.size(), 1u);
  EXPECT_EQ(begin.code(), Code::kPermissionDenied);
  EXPECT_NE(begin.message().find("cannot be written"), std::string::npos) << begin.message();
  EXPECT_NE(begin.message().find("read-only"), std::string::npos) << begin.message();
  EXPECT_EQ(remove.code(), Code::kPermissionDenied);
  EXPECT_EQ(empty.code(), Code::kPermissionDenied);
}

TEST_F(StoreTest, AFullDiskFailsTheInstallAndLosesNothing) {
  const std::filesystem::path disk = temporary_.path() / "disk";
  ASSERT_TRUE(os::MakeDirectories(disk).ok());
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=500000") != 0)
    GTEST_SKIP() << "needs the right to mount a small tmpfs";
  ASSERT_TRUE(os::WriteFile(temporary_.path() / "big", std::string(1'000'000, 'b')).ok());
  Status full;
  size_t listed = 0;
  bool retried = false;
  {
    auto store = Store::Open(disk / "store");
    EXPECT_TRUE(InstallSmall(**store, Ref("hf/a"), {{"f", "x"}}).ok());
    {
      auto install = (*store)->Begin(Ref("hf/b"));
      full = (*install)->AddCopy("f", temporary_.path() / "big").status();
    }
    listed = (*store)->List()->size();
    retried = InstallSmall(**store, Ref("hf/b"), {{"f", "small enough"}}).ok();
  }
  umount(disk.c_str());
  EXPECT_EQ(full.code(), Code::kResourceExhausted);
  EXPECT_NE(full.message().find("1.0 MB needed"), std::string::npos) << full.message();
  EXPECT_EQ(listed, 1u);
  EXPECT_TRUE(retried);
}

}  // namespace
}  // namespace mlos::package
