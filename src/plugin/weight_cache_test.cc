// SPDX-License-Identifier: Apache-2.0
// The host's part of the weight cache: what it takes from a worker, and what it does not.
#include "plugin/weight_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/xxh64.h"
#include "plugin/testing/test_plugins.h"

namespace mlos::plugin {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kPlugin[] = "onnxruntime";

class WeightCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    draft_ = cache_->NewDraft().value();
    fs::create_directories(folder_.path() / "a");
    fs::create_directories(folder_.path() / "b");
    model_ = folder_.Write("a/model.onnx", "graph of a");
    folder_.Write("a/weights.data", "weights of a");
    other_ = folder_.Write("b/model.onnx", "graph of b");
    folder_.Write("b/weights.data", "weights of b");
  }

  void Open(uint64_t limit_bytes = 1 << 20) {
    cache_.reset();
    cache_ = WeightCache::Open(folder_.path() / "cache", limit_bytes, {kPlugin, "attacker"}).value();
  }

  static std::string SourceLine(const fs::path& file, const std::string& digest) {
    const os::FileInfo info = os::Stat(file).value();
    return "source " + std::to_string(info.size_bytes) + " " + std::to_string(info.modified_unix_ns) + " " +
           std::to_string(info.inode) + " " + digest + " " + file.filename().string() + "\n";
  }
  static std::string FactsOf(const fs::path& model) {
    return "mlos-weight-cache 1\nengine e 1\ncpu c\noptions o\n" +
           SourceLine(model, HexOf(Xxh64(os::ReadFile(model, 1000).value()))) +
           SourceLine(model.parent_path() / "weights.data", "-");
  }
  static CacheFile Stamped(const fs::path& file) {
    CacheFile out;
    out.Restamp(os::StatNoFollow(file).value());
    out.digest = Xxh64(os::ReadFile(file, 1 << 20).value());
    out.name = file.filename();
    return out;
  }
  // An entry for `model`, in a folder called `name`, as a worker makes one. The folder.
  fs::path Make(const fs::path& into, const fs::path& model, std::string name = "") {
    CacheRecord record{.facts = FactsOf(model)};
    if (name.empty()) name = CacheEntryName(record.facts);
    const fs::path entry = into / name;
    fs::create_directories(entry);
    std::ofstream(entry / "model.onnx") << "optimised " << model.parent_path().filename().string();
    std::ofstream(entry / "weights.bin") << "packed " << model.parent_path().filename().string();
    for (const char* file : {"model.onnx", "weights.bin"}) record.files.push_back(Stamped(entry / file));
    std::ofstream(entry / "entry") << FormatCacheRecord(record);
    return entry;
  }
  fs::path Entry(const fs::path& model, const char* plugin = kPlugin) const {
    return cache_->EntriesOf(plugin) / CacheEntryName(FactsOf(model));
  }
  std::string GraphIn(const fs::path& entry) const {
    const auto text = os::ReadFile(entry / "model.onnx", 1000);
    return text.ok() ? *text : "";
  }
  Status TakeIn() { return cache_->TakeIn(*draft_, kPlugin, model_); }

  const TemporaryFolder folder_;
  std::shared_ptr<WeightCache> cache_;
  std::unique_ptr<WeightCache::Draft> draft_;
  fs::path model_;
  fs::path other_;
};

TEST_F(WeightCacheTest, TakesInWhatAWorkerMadeForItsModel) {
  const fs::path made = Make(draft_->folder(), model_);
  const Status taken = TakeIn();
  ASSERT_TRUE(taken.ok()) << taken.ToString();
  EXPECT_EQ(GraphIn(Entry(model_)), "optimised a");
  EXPECT_FALSE(fs::exists(made / "model.onnx"));
  // Sealed by the host, whose record knows the files as they are now.
  const CacheRecord record = ParseCacheRecord(os::ReadFile(Entry(model_) / "entry", 10000).value()).value();
  ASSERT_EQ(record.files.size(), 2U);
  for (const CacheFile& file : record.files) {
    const os::FileInfo info = os::StatNoFollow(Entry(model_) / file.name).value();
    EXPECT_TRUE(file.Matches(info)) << file.name;
    EXPECT_EQ(info.mode, 0444U);
  }
}

TEST_F(WeightCacheTest, TakesInThatAModelCannotBeCached) {
  const CacheRecord record{.facts = FactsOf(model_), .unusable = "it answers differently"};
  const fs::path entry = draft_->folder() / CacheEntryName(record.facts);
  fs::create_directories(entry);
  std::ofstream(entry / "entry") << FormatCacheRecord(record);
  ASSERT_TRUE(TakeIn().ok());
  EXPECT_THAT(os::ReadFile(Entry(model_) / "entry", 10000).value(),
              HasSubstr("unusable it answers differently\n"));
}

TEST_F(WeightCacheTest, HasNothingToDoForAWorkerThatMadeNothing) { EXPECT_TRUE(TakeIn().ok()); }

TEST_F(WeightCacheTest, RefusesAnEntryOfAnotherModel) {
  Make(cache_->EntriesOf(kPlugin), other_);
  Make(draft_->folder(), other_);
  EXPECT_THAT(TakeIn().message(), HasSubstr("made from another 'model.onnx'"));
  EXPECT_EQ(GraphIn(Entry(other_)), "optimised b");
}

TEST_F(WeightCacheTest, RefusesItsOwnEntryUnderTheNameOfAnother) {
  Make(cache_->EntriesOf(kPlugin), other_);
  Make(draft_->folder(), model_, Entry(other_).filename());
  EXPECT_THAT(TakeIn().message(), HasSubstr("the name of another model's"));
  EXPECT_EQ(GraphIn(Entry(other_)), "optimised b");
}

struct Trick {
  const char* name;
  std::function<void(const fs::path& entry, const fs::path& foreign)> play;
  const char* says;
};
class WeightCacheTrickTest : public WeightCacheTest, public ::testing::WithParamInterface<Trick> {
 public:
  static void Edit(const fs::path& entry, const std::string& what, const std::string& with) {
    std::string text = os::ReadFile(entry / "entry", 10000).value();
    text.replace(text.find(what), what.size(), with);
    std::ofstream(entry / "entry") << text;
  }
};

TEST_P(WeightCacheTrickTest, IsRefused) {
  const fs::path foreign = folder_.Write("foreign", "of somebody else");
  GetParam().play(Make(draft_->folder(), model_), foreign);
  const Status status = TakeIn();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.ToString(), HasSubstr(GetParam().says));
  EXPECT_FALSE(fs::exists(Entry(model_)));
  EXPECT_EQ(os::Stat(foreign)->link_count, 1U);
  EXPECT_NE(os::Stat(foreign)->mode, 0444U);
}

INSTANTIATE_TEST_SUITE_P(
    Tricks, WeightCacheTrickTest,
    ::testing::Values(
        Trick{"NoRecord", [](const fs::path& e, const fs::path&) { fs::remove(e / "entry"); }, "entry"},
        Trick{"RecordIsALink",
              [](const fs::path& e, const fs::path& foreign) {
                fs::remove(e / "entry");
                fs::create_symlink(foreign, e / "entry");
              },
              "no record"},
        Trick{"RecordIsNone", [](const fs::path& e, const fs::path&) { std::ofstream(e / "entry") << "x\n"; },
              "line 1"},
        Trick{"FileIsALink",
              [](const fs::path& e, const fs::path& foreign) {
                fs::remove(e / "weights.bin");
                fs::create_symlink(foreign, e / "weights.bin");
              },
              "'weights.bin' is not the file of its record"},
        Trick{"FileIsSomebodyElses",
              [](const fs::path& e, const fs::path& foreign) {
                fs::remove(e / "weights.bin");
                fs::copy(foreign, e / "weights.bin");
              },
              "'weights.bin' is not the file of its record"},
        Trick{"FileIsMissing", [](const fs::path& e, const fs::path&) { fs::remove(e / "weights.bin"); },
              "weights.bin"},
        Trick{"FileLeavesTheFolder",
              [](const fs::path& e, const fs::path&) {
                WeightCacheTrickTest::Edit(e, " weights.bin\n", " ../weights.bin\n");
              },
              "not what belongs there"},
        Trick{"FileIsTheRecord",
              [](const fs::path& e, const fs::path&) {
                WeightCacheTrickTest::Edit(e, " weights.bin\n", " entry\n");
              },
              "no file of itself"},
        Trick{"FolderIsALink",
              [](const fs::path& e, const fs::path&) {
                fs::rename(e, e.parent_path() / "elsewhere");
                fs::create_symlink(e.parent_path() / "elsewhere", e);
              },
              "no folder"},
        Trick{"TwoEntries",
              [](const fs::path& e, const fs::path&) {
                fs::create_directory(e.parent_path() / std::string(32, '0'));
              },
              "more than one"},
        Trick{"Huge",
              [](const fs::path& e, const fs::path&) {
                fs::resize_file(e / "weights.bin", uint64_t{1} << 30);
                CacheRecord record = ParseCacheRecord(os::ReadFile(e / "entry", 10000).value()).value();
                record.files[1].Restamp(os::StatNoFollow(e / "weights.bin").value());
                std::ofstream(e / "entry") << FormatCacheRecord(record);
              },
              "bytes, made from"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(WeightCacheTest, RefusesFilesThatAreStillOpenForWriting) {
  const fs::path made = Make(draft_->folder(), model_);
  const int fd = ::open((made / "weights.bin").c_str(), O_RDWR);
  const Status status = TakeIn();
  ::close(fd);
  EXPECT_THAT(status.message(), HasSubstr("still open for writing"));
  EXPECT_FALSE(fs::exists(Entry(model_)));
}

TEST_F(WeightCacheTest, RefusesSourcesOutsideOfThePackage) {
  const fs::path made = Make(draft_->folder(), model_);
  WeightCacheTrickTest::Edit(made, " - weights.data\n", " - ../b/weights.data\n");
  const std::string text = os::ReadFile(made / "entry", 10000).value();
  EXPECT_FALSE(ParseCacheRecord(text).ok());
  EXPECT_FALSE(TakeIn().ok());
}

TEST_F(WeightCacheTest, KeepsAnIntactEntryAndReplacesADamagedOne) {
  fs::create_directories(Entry(model_).parent_path());
  const fs::path there = Make(cache_->EntriesOf(kPlugin), model_);
  const uint64_t before = os::Stat(there / "model.onnx")->inode;
  Make(draft_->folder(), model_);
  ASSERT_TRUE(TakeIn().ok());
  EXPECT_EQ(os::Stat(there / "model.onnx")->inode, before);
  std::ofstream(there / "model.onnx") << "damaged ..";
  Make(draft_->folder(), model_);
  ASSERT_TRUE(TakeIn().ok());
  EXPECT_EQ(GraphIn(there), "optimised a");
  EXPECT_NE(os::Stat(there / "model.onnx")->inode, before);
}

TEST_F(WeightCacheTest, RemovesWhatWasUsedLongestAgo) {
  Open(70);  // two entries of about 34 bytes and a record each do not fit
  draft_ = cache_->NewDraft().value();
  const fs::path old = Make(cache_->EntriesOf(kPlugin), other_);
  Make(draft_->folder(), model_);
  ASSERT_TRUE(TakeIn().ok());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(Entry(model_)));
}

TEST_F(WeightCacheTest, MarksWhatAWorkerUses) {
  const fs::path there = Make(cache_->EntriesOf(kPlugin), model_);
  fs::last_write_time(there / "entry", fs::file_time_type::clock::now() - std::chrono::hours(9));
  std::ofstream(draft_->folder() / ("use-" + there.filename().string()));
  ASSERT_TRUE(TakeIn().ok());
  EXPECT_GT(fs::last_write_time(there / "entry"), fs::file_time_type::clock::now() - std::chrono::hours(1));
}

TEST_F(WeightCacheTest, RenewsTheRecordOfACopy) {
  const fs::path there = Make(cache_->EntriesOf(kPlugin), model_);
  fs::copy(there, folder_.path() / "copy");
  fs::remove_all(there);
  fs::rename(folder_.path() / "copy", there);
  std::ofstream(draft_->folder() / ("use-" + there.filename().string()));
  ASSERT_TRUE(TakeIn().ok());
  const CacheRecord record = ParseCacheRecord(os::ReadFile(there / "entry", 10000).value()).value();
  EXPECT_TRUE(record.files[0].Matches(os::StatNoFollow(there / "model.onnx").value()));
}

TEST_F(WeightCacheTest, RemovesWhatDeadHostsLeftAndNothingOfLivingOnes) {
  const fs::path making = folder_.path() / "cache/making";
  fs::create_directories(making / "mlos-dead/draft-1");
  std::ofstream(making / "mlos-dead/lock");
  const auto second = WeightCache::Open(folder_.path() / "cache", 1 << 20).value();
  EXPECT_FALSE(fs::exists(making / "mlos-dead"));
  EXPECT_TRUE(fs::exists(draft_->folder()));
}

TEST_F(WeightCacheTest, LetsOneAtATimeLoadTheSameFile) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) {
        const auto turn = cache_->TakeTurn(model_);
        most = std::max(most.load(), ++inside);
        --inside;
      }
    });
  }
  const auto other = cache_->TakeTurn(other_);  // waits for nobody
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most.load(), 1);
}

// The attacker in a worker, with a cache that holds an entry of another model.
class WeightCacheAttackTest : public WeightCacheTest {
 protected:
  void Load(const std::string& text) {
    OpenOptions options;
    options.isolation = Isolation::kProcess;
    options.worker.program = kWorkerProgram;
    options.worker.sandbox = kTestSandbox;
    options.weight_cache = cache_;
    options.log = [this](LogLevel, const std::string&, std::string_view line) {
      const std::lock_guard lock(mu_);
      log_ += std::string(line) + "\n";
    };
    registry_ = PluginRegistry::Open({HostileDir("attacker")}, options, nullptr).value();
    LoadOptions load;
    load.model_path = folder_.Write("a/model.txt", text);
    load.package_dir = load.model_path.parent_path();
    load.format = "attacker";
    auto instance = registry_->Load("attacker", load);
    ASSERT_TRUE(instance.ok()) << instance.status().ToString();
    instance_ = std::move(*instance);
  }
  std::string Attack(const std::string& name, const fs::path& argument) {
    Request request;
    const std::vector<std::string> words = {name, argument.string()};
    request.inputs.push_back({"attack", Tensor::FromStrings({2}, words).value()});
    const auto answer = RunAndWait(*instance_, std::move(request));
    if (!answer->Wait().ok()) return answer->Wait().ToString();
    return std::string(DecodeStrings(answer->response().outputs[0].tensor).value()[0]);
  }
  std::string log() {
    const std::lock_guard lock(mu_);
    return log_;
  }

  std::mutex mu_;
  std::string log_;
  std::unique_ptr<PluginRegistry> registry_;
  std::unique_ptr<Instance> instance_;
};

TEST_F(WeightCacheAttackTest, WritesNothingInTheCache) {
  const fs::path entry = Make(cache_->EntriesOf("attacker"), other_);
  Load("attacker 1\n");
  if (!instance_->sandbox().FilesConfined()) GTEST_SKIP() << "nothing confines files here";
  EXPECT_EQ(Attack("read_file", entry / "weights.bin"), "done");
  for (const char* file : {"weights.bin", "model.onnx", "entry", "new"}) {
    EXPECT_THAT(Attack("write_file", entry / file), StartsWith("refused: ")) << file;
    EXPECT_THAT(Attack("remove_file", entry / file), StartsWith("refused: ")) << file;
    EXPECT_THAT(Attack("chmod_file", entry / file), StartsWith("refused: ")) << file;
  }
  // Nor in the draft of another worker.
  EXPECT_THAT(Attack("write_file", draft_->folder() / "new"), StartsWith("refused: "));
  EXPECT_EQ(GraphIn(entry), "optimised b");
}

TEST_F(WeightCacheAttackTest, CannotHaveAForgedEntryTakenIn) {
  const fs::path entry = Make(cache_->EntriesOf("attacker"), other_);
  Load("attacker 1\nforge " + entry.filename().string() + "\n");
  EXPECT_THAT(log(), HasSubstr("is not taken: it is for 'model.onnx', the model is 'model.txt'"));
  EXPECT_EQ(GraphIn(entry), "optimised b");
}

}  // namespace
}  // namespace mlos::plugin
