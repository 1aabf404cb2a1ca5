// SPDX-License-Identifier: Apache-2.0
// The weight cache through the plugin's table, with the real engine.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "client.h"
#include "smi/plugin_util.h"
#include "testing/mlp_model.h"

namespace {

namespace fs = std::filesystem;
using mlos_ort::MlpModel;
using mlos_ort::MlpShape;
using smi_test::Model;
using smi_test::Options;
using smi_test::Outcome;
using smi_test::Plugin;
using smi_test::Tensor;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kWidth = 128;
const fs::path kLibrary = MLOS_PLUGIN;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Tensor Input(int64_t rows, int64_t width = kWidth) {
  std::vector<float> values(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 11) * 0.1F;
  return Tensor::Of<float>("x", SMI_FP32, {rows, width}, values);
}

class WeightCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mlos_weights_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    model_ = MlpModel::Write(folder_ / "model", {});
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path cache() const { return folder_ / "cache"; }
  Options WithCache(Options more = {}) const {
    more.emplace_back("weight_cache_dir", cache().string());
    return more;
  }
  // The folders of entries.
  std::vector<fs::path> Entries() const {
    std::vector<fs::path> out;
    std::error_code none;
    for (const auto& item : fs::directory_iterator(cache() / "onnxruntime", none)) {
      if (item.path().filename() != "locks") out.push_back(item.path());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  fs::path Entry() const {
    const std::vector<fs::path> entries = Entries();
    return entries.size() == 1 ? entries[0] : fs::path("there is not one entry");
  }
  static std::string Answer(const Model& model, int64_t rows = 3, int64_t width = kWidth) {
    const Outcome outcome = model.Execute({Input(rows, width)});
    EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
    return outcome.outputs.empty() ? "" : outcome.outputs[0].bytes;
  }
  // Loads with the cache in a fresh plugin. What it answered, and what it logged.
  std::string AnswerWithCache(std::string* log = nullptr, const Options& plugin_options = {}) {
    Plugin plugin(kLibrary, WithCache(plugin_options));
    std::string out = Answer(plugin.Load(model_, {{"weight_cache", "on"}}));
    if (log != nullptr) *log = plugin.log();
    return out;
  }
  std::string PlainAnswer() const {
    const Plugin plugin(kLibrary);
    return Answer(plugin.Load(model_));
  }
  static uint64_t Inode(const fs::path& path) {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
  }

 public:
  // Files are written read-only.
  static void Overwrite(const fs::path& path, const std::string& bytes) {
    chmod(path.c_str(), 0644);
    std::ofstream(path, std::ios::binary) << bytes;
  }

 protected:
  fs::path folder_;
  fs::path model_;
};

TEST_F(WeightCacheTest, AnswersBitForBitWhatThePlainModelAnswers) {
  const std::string plain = PlainAnswer();
  std::string log;
  EXPECT_EQ(AnswerWithCache(&log), plain) << "while it is built";
  EXPECT_EQ(log, "");
  const uint64_t made = Inode(Entry() / "weights.bin");
  EXPECT_EQ(AnswerWithCache(&log), plain) << "when it is there";
  EXPECT_EQ(log, "");
  EXPECT_EQ(Inode(Entry() / "weights.bin"), made) << "it was built again";
  // The packed copies are in it besides the weights.
  EXPECT_GT(fs::file_size(Entry() / "weights.bin"), fs::file_size(folder_ / "model/weights.data") * 3 / 2);
}

TEST_F(WeightCacheTest, IsReallyWhatIsLoaded) {
  AnswerWithCache();
  Plugin plugin(kLibrary, WithCache());
  const Model model = plugin.Load(model_, {{"weight_cache", "on"}});
  const std::string maps = Read("/proc/self/maps");
  EXPECT_THAT(maps, HasSubstr((Entry() / "weights.bin").string()));
  EXPECT_THAT(maps, Not(HasSubstr("weights.data")));
}

TEST_F(WeightCacheTest, DescribesTheModelAsThePlainLoadDoes) {
  AnswerWithCache();
  const Plugin plugin(kLibrary, WithCache());
  const Model cached = plugin.Load(model_, {{"weight_cache", "on"}});
  const Model plain = plugin.Load(model_, {{"weight_cache", "off"}});
  EXPECT_EQ(cached.info().batch_dimension, 0);
  EXPECT_EQ(cached.info().parameter_count, plain.info().parameter_count);
  const auto dim = [](const Model& m) {
    return std::string(m.output(0).dim_names[0].data, m.output(0).dim_names[0].size);
  };
  EXPECT_EQ(dim(cached), dim(plain));
  EXPECT_EQ(dim(cached), "batch");
}

TEST_F(WeightCacheTest, LeavesSmallModelsAloneUnlessToldOtherwise) {
  const Plugin plugin(kLibrary, WithCache());
  Answer(plugin.Load(model_));
  EXPECT_TRUE(Entries().empty());
  const fs::path large = MlpModel::Write(folder_ / "large", {.layers = 9, .width = 512});
  Answer(plugin.Load(large), 3, 512);
  EXPECT_EQ(Entries().size(), 1U);
  Answer(plugin.Load(model_, {{"prepack", "off"}, {"weight_cache", "on"}}));
  EXPECT_EQ(Entries().size(), 1U) << "prepack=off shares the model's own file";
}

TEST_F(WeightCacheTest, KeepsHalfPrecisionWeightsAsTheFloatsTheEngineWants) {
  model_ = MlpModel::Write(folder_ / "half", {.half = true});
  const std::string plain = PlainAnswer();
  EXPECT_EQ(AnswerWithCache(), plain);
  EXPECT_EQ(AnswerWithCache(), plain);
  EXPECT_GE(fs::file_size(Entry() / "weights.bin"), 2 * fs::file_size(folder_ / "half/weights.data"));
}

// --- stale, damaged, foreign -----------------------------------------------------------------------------------

TEST_F(WeightCacheTest, MakesAnotherEntryWhenTheModelChanges) {
  const std::string before = AnswerWithCache();
  MlpModel::Write(folder_ / "model", {.seed = 2});
  const std::string plain = PlainAnswer();
  ASSERT_NE(plain, before);
  EXPECT_EQ(AnswerWithCache(), plain);
  EXPECT_EQ(Entries().size(), 2U);
}

TEST_F(WeightCacheTest, MakesAnotherEntryForOtherOptions) {
  AnswerWithCache();
  const Plugin plugin(kLibrary, WithCache());
  EXPECT_FALSE(Answer(plugin.Load(model_, {{"weight_cache", "on"}, {"optimization", "basic"}})).empty());
  EXPECT_EQ(Entries().size(), 2U);
}

struct Damage {
  const char* name;
  std::function<void(const fs::path& entry)> make;
};
class WeightCacheDamageTest : public WeightCacheTest, public ::testing::WithParamInterface<Damage> {
 public:
  static void Flip(const fs::path& path, size_t at) {
    std::string bytes = Read(path);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    Overwrite(path, bytes);
  }
  static void Replace(const fs::path& path, const std::string& what, const std::string& with) {
    std::string text = Read(path);
    text.replace(text.find(what), what.size(), with);
    Overwrite(path, text);
  }
};

TEST_P(WeightCacheDamageTest, IsNoticedAndMadeAnew) {
  const std::string plain = AnswerWithCache();
  const std::string record = Read(Entry() / "entry");
  GetParam().make(Entry());
  std::string log;
  EXPECT_EQ(AnswerWithCache(&log), plain);
  EXPECT_THAT(log, HasSubstr("made anew"));
  EXPECT_EQ(AnswerWithCache(&log), plain);
  EXPECT_EQ(log, "");
  const std::string renewed = Read(Entry() / "entry");
  EXPECT_EQ(renewed.substr(0, renewed.find("file ")), record.substr(0, record.find("file ")));
}

INSTANTIATE_TEST_SUITE_P(
    Damages, WeightCacheDamageTest,
    ::testing::Values(
        Damage{"BitInWeights",
               [](const fs::path& e) { WeightCacheDamageTest::Flip(e / "weights.bin", 70000); }},
        Damage{"BitInGraph", [](const fs::path& e) { WeightCacheDamageTest::Flip(e / "model.onnx", 40); }},
        Damage{"TruncatedWeights", [](const fs::path& e) { fs::resize_file(e / "weights.bin", 4096); }},
        Damage{"EmptyGraph",
               [](const fs::path& e) { WeightCacheDamageTest::Overwrite(e / "model.onnx", ""); }},
        Damage{"NoWeights", [](const fs::path& e) { fs::remove(e / "weights.bin"); }},
        Damage{"TruncatedRecord", [](const fs::path& e) { fs::resize_file(e / "entry", 60); }},
        Damage{
            "ForeignCpu",
            [](const fs::path& e) { WeightCacheDamageTest::Replace(e / "entry", "\ncpu ", "\ncpu other "); }},
        Damage{"OtherEngine",
               [](const fs::path& e) {
                 WeightCacheDamageTest::Replace(e / "entry", "engine onnx", "engine oldx");
               }}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(WeightCacheTest, TakesACopyOfItselfForWhatItIs) {
  const std::string plain = AnswerWithCache();
  fs::copy(cache(), folder_ / "copy", fs::copy_options::recursive);
  fs::remove_all(cache());
  fs::rename(folder_ / "copy", cache());
  const uint64_t inode = Inode(Entry() / "weights.bin");
  std::string log;
  EXPECT_EQ(AnswerWithCache(&log), plain);
  EXPECT_EQ(log, "");
  EXPECT_EQ(Inode(Entry() / "weights.bin"), inode);
  EXPECT_THAT(Read(Entry() / "entry"), HasSubstr(" " + std::to_string(inode) + " "))
      << "it would be read again each time";
}

// --- what cannot be written ------------------------------------------------------------------------------------

TEST_F(WeightCacheTest, LoadsThePlainWayWhereTheCacheCannotBeWritten) {
  // Not a folder, and no user is allowed to make it one.
  std::ofstream(cache()) << "a file";
  std::string log;
  EXPECT_EQ(AnswerWithCache(&log), PlainAnswer());
  EXPECT_THAT(log, HasSubstr("the model's own files are used"));
}

TEST_F(WeightCacheTest, OnlyReadsWhenTold) {
  const Options read_only = {{"weight_cache_write", "off"}};
  EXPECT_EQ(AnswerWithCache(nullptr, read_only), PlainAnswer());
  EXPECT_FALSE(fs::exists(cache()));
  AnswerWithCache();
  const Plugin plugin(kLibrary, WithCache(read_only));
  const Model model = plugin.Load(model_, {{"weight_cache", "on"}});
  EXPECT_THAT(Read("/proc/self/maps"), HasSubstr((Entry() / "weights.bin").string()));
}

TEST_F(WeightCacheTest, DoesNotTryWhatIsLargerThanItsLimit) {
  std::string log;
  EXPECT_EQ(AnswerWithCache(&log, {{"weight_cache_limit", "1"}}), PlainAnswer());
  EXPECT_THAT(log, HasSubstr("larger than the cache may grow"));
  EXPECT_TRUE(Entries().empty());
}

// --- size ------------------------------------------------------------------------------------------------------

TEST_F(WeightCacheTest, RemovesWhatWasUsedLongestAgo) {
  std::vector<fs::path> models;
  for (uint32_t i = 0; i < 3; ++i) {
    models.push_back(
        MlpModel::Write(folder_ / std::to_string(i), {.layers = 3, .width = 1024, .seed = i + 1}));
  }
  // Each takes 24 MiB in the cache, and is expected to take 40.
  Plugin plugin(kLibrary, WithCache({{"weight_cache_limit", "60"}}));
  const auto load = [&](size_t i) { return plugin.Load(models[i], {{"weight_cache", "on"}}); };
  std::map<size_t, std::string> names;
  const auto newest = [&] {
    std::set<std::string> known;
    for (const auto& [i, name] : names) known.insert(name);
    for (const fs::path& entry : Entries()) {
      if (known.count(entry.filename().string()) == 0) return entry.filename().string();
    }
    return std::string();
  };
  const Model kept = load(0);
  names[0] = newest();
  load(1);
  names[1] = newest();
  const std::string answer = Answer(kept, 3, 1024);
  // 0 was used longest ago until it is used again.
  const auto age = [&](size_t i, int64_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    utimensat(AT_FDCWD, (cache() / "onnxruntime" / names[i] / "entry").c_str(), times, 0);
  };
  age(0, 1000);
  age(1, 2000);
  load(0);
  load(2);
  names[2] = newest();
  std::set<std::string> left;
  for (const fs::path& entry : Entries()) left.insert(entry.filename().string());
  EXPECT_EQ(left, (std::set<std::string>{names[0], names[2]}));
  EXPECT_EQ(Answer(kept, 3, 1024), answer);
}

TEST_F(WeightCacheTest, RemovesWhatDeadBuildersLeft) {
  const fs::path left = cache() / "onnxruntime/tmp-abandoned";
  const fs::path fresh = cache() / "onnxruntime/tmp-at-work";
  for (const fs::path& path : {left, fresh}) fs::create_directories(path);
  fs::last_write_time(left, fs::file_time_type::clock::now() - std::chrono::hours(3));
  AnswerWithCache();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(fresh));
}

// --- several at once -------------------------------------------------------------------------------------------

TEST_F(WeightCacheTest, IsMadeOnceByProcessesThatStartTogether) {
  const std::string plain = PlainAnswer();
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      Plugin plugin(kLibrary, WithCache());
      const Model model = plugin.Load(model_, {{"weight_cache", "on"}});
      const bool same = Answer(model) == plain;
      const bool mapped = Read("/proc/self/maps").find("weights.bin") != std::string::npos;
      _exit(same && mapped && plugin.log().empty() ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Entries().size(), 1U);
}

TEST_F(WeightCacheTest, IsMadeOnceByThreadsOfOneProcess) {
  Plugin plugin(kLibrary, WithCache());
  std::vector<std::thread> threads;
  std::array<std::string, 4> answers;
  for (std::string& answer : answers) {
    threads.emplace_back([&] { answer = Answer(plugin.Load(model_, {{"weight_cache", "on"}})); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& answer : answers) EXPECT_EQ(answer, answers[0]);
  EXPECT_EQ(plugin.log(), "");
  EXPECT_EQ(Entries().size(), 1U);
}

// Bytes of a mapped file that this process has private copies of, and its share of the whole (kB fields of smaps).
struct Shares {
  uint64_t private_kb = 0;
  uint64_t resident_kb = 0;
};
Shares SharesOf(const std::string& file) {
  Shares out;
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("kB") == std::string::npos && line.find('-') < line.find(' '))
      inside = line.ends_with(file);
    uint64_t kb = 0;
    if (inside && std::sscanf(line.c_str(), "Private_Dirty: %lu", &kb) == 1) out.private_kb += kb;
    if (inside && std::sscanf(line.c_str(), "Rss: %lu", &kb) == 1) out.resident_kb += kb;
  }
  return out;
}

TEST_F(WeightCacheTest, HoldsOneCopyForManySessions) {
  const fs::path large = MlpModel::Write(folder_ / "large", {.layers = 8, .width = 1024});
  const uint64_t weights_kb = 8 * 1024 * 4;
  Plugin plugin(kLibrary, WithCache());
  Answer(plugin.Load(large), 3, 1024);
  std::vector<Model> models;
  const auto private_kb = [] {
    uint64_t kb = 0;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) std::sscanf(line.c_str(), "RssAnon: %lu", &kb);
    return kb;
  };
  models.push_back(plugin.Load(large));
  Answer(models[0], 3, 1024);
  const uint64_t one = private_kb();
  for (int i = 0; i < 4; ++i) {
    models.push_back(plugin.Load(large));
    EXPECT_EQ(Answer(models.back(), 3, 1024), Answer(models[0], 3, 1024));
  }
  EXPECT_LT(private_kb(), one + weights_kb / 2) << "four more sessions";
  const Shares shares = SharesOf("weights.bin");
  EXPECT_GT(shares.resident_kb, weights_kb) << "the weights were not read through the mapping";
  EXPECT_EQ(shares.private_kb, 0U);
}

// --- the estimate ----------------------------------------------------------------------------------------------

TEST_F(WeightCacheTest, EstimatesMappedMemoryAsSuch) {
  const fs::path large = MlpModel::Write(folder_ / "large", {.layers = 20, .width = 1024});
  const uint64_t weights = uint64_t{20} * 1024 * 1024 * 4;
  Plugin plugin(kLibrary, WithCache({{"threads", "2"}}));
  smi_estimate before{};
  smi_estimate after{};
  std::string message;
  ASSERT_EQ(plugin.Estimate(large, &before, &message), SMI_OK) << message;
  EXPECT_GT(before.private_bytes, weights);
  Answer(plugin.Load(large), 3, 1024);
  ASSERT_EQ(plugin.Estimate(large, &after, &message), SMI_OK) << message;
  EXPECT_LT(after.private_bytes, weights);
  EXPECT_EQ(after.mapped_bytes,
            fs::file_size(Entry() / "weights.bin") + fs::file_size(Entry() / "model.onnx"));
}

}  // namespace
