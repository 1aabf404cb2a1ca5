// SPDX-License-Identifier: Apache-2.0
#include "hub/download.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "hub/partial_file.h"
#include "hub/testing/fake_hub.h"
#include "os/directory.h"
#include "os/fault.h"
#include "os/file.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string Contents(size_t bytes) {
  std::string out(bytes, '\0');
  uint32_t state = 12345;
  for (char& c : out) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24U);
  }
  return out;
}

class Recorder final : public DownloadObserver {
 public:
  void OnBytes(size_t, int64_t bytes) override { total += bytes; }
  void OnResumed(size_t, uint64_t bytes) override { resumed += bytes; }
  void OnRetry(size_t, const std::string& reason, int64_t delay_ms) override {
    retries.emplace_back(reason, delay_ms);
  }
  int64_t total = 0;
  uint64_t resumed = 0;
  std::vector<std::pair<std::string, int64_t>> retries;
};

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    settings_.endpoint = hub_.url();
    settings_.stall_timeout_s = 1;
    options_.piece_bytes = 64U << 10U;
    options_.resumable_bytes = 1;
    options_.retry.base_delay_ms = 1;
    options_.retry.cap_delay_ms = 2;
    options_.retry.max_retry_after_ms = 5;
    subject_ = {HostOf(hub_.url()), "org/name", "main", "", ""};
  }
  ~DownloadTest() override { os::SetFaultHookForTesting(nullptr); }

  DownloadItem Item(const std::string& name, const std::string& contents) {
    hub_.AddFile("/" + name, contents, "\"etag-1\"");
    DownloadItem item;
    item.file = {name, contents.size(), package::Sha256Hex(contents), ""};
    item.source.url = hub_.url() + "/" + name;
    item.target = folder_.path() / (name + ".part");
    return item;
  }

  Status Run(const std::vector<DownloadItem>& items) {
    recorder_ = Recorder();
    return Download(items, settings_, options_, subject_, &recorder_,
                    [this](const DownloadItem& item, const std::string& sha) {
                      const std::lock_guard lock(mu_);
                      digests_[item.file.path] = sha;
                      return OkStatus();
                    });
  }

  std::string Read(const DownloadItem& item) {
    return os::ReadFile(item.target, 1U << 30U).value_or("(missing)");
  }
  bool StateFileIsLeft(const DownloadItem& item) { return os::Exists(item.target.string() + ".state"); }

  // Requests to `target` that had a Range header.
  int RangedRequests(const std::string& target) {
    int count = 0;
    for (const FakeHub::Seen& seen : hub_.seen())
      count += seen.target == target && seen.headers.count("range") != 0 ? 1 : 0;
    return count;
  }

  FakeHub hub_;
  Settings settings_;
  DownloadOptions options_;
  HttpSubject subject_;
  Recorder recorder_;
  os::TemporaryDirectory folder_;
  std::mutex mu_;
  std::map<std::string, std::string> digests_;
};

TEST_F(DownloadTest, FetchesSeveralFilesAndTellsTheirDigests) {
  const std::vector<DownloadItem> items = {Item("a", Contents(1000)), Item("b", Contents(300'000)),
                                           Item("empty", "")};
  ASSERT_EQ(Run(items).ToString(), "ok");
  for (const DownloadItem& item : items) {
    EXPECT_EQ(digests_[item.file.path], item.file.sha256);
    EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
    EXPECT_FALSE(StateFileIsLeft(item));
  }
  EXPECT_EQ(recorder_.total, 301'000);
}

TEST_F(DownloadTest, BigFilesComeInSeveralRanges) {
  const DownloadItem item = Item("big", Contents(1'000'000));
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(RangedRequests("/big"), 16);
  EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
}

TEST_F(DownloadTest, ADroppedConnectionIsContinuedWhereItBroke) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Script("/big", {{.drop_after = 20'000}, {.drop_after = 20'000}});
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(hub_.bytes_sent(), 60'000U);
  EXPECT_EQ(hub_.seen()[1].headers["range"], "bytes=20000-59999");
  EXPECT_EQ(hub_.seen()[1].headers["if-range"], "\"etag-1\"");
  EXPECT_EQ(recorder_.retries.size(), 2U);
}

TEST_F(DownloadTest, ASecondRunGoesOnWhereTheFirstEnded) {
  const DownloadItem item = Item("big", Contents(400'000));
  options_.connections_per_file = 1;
  options_.retry.attempts = 1;
  hub_.Script("/big", {{}, {}, {.drop_after = 30'000}});
  EXPECT_EQ(Run({item}).code(), Code::kUnavailable);
  EXPECT_TRUE(StateFileIsLeft(item));
  const uint64_t sent = hub_.bytes_sent();
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(recorder_.resumed, sent);
  EXPECT_EQ(hub_.bytes_sent(), 400'000U);
  EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
}

TEST_F(DownloadTest, BytesOfAnEarlierRunThatRottedAreFetchedAnew) {
  const DownloadItem item = Item("big", Contents(100'000));
  options_.connections_per_file = 1;
  options_.retry.attempts = 1;
  hub_.Script("/big", {{.drop_after = 50'000}});
  EXPECT_EQ(Run({item}).code(), Code::kUnavailable);
  {
    const auto file = os::File::Open(item.target, os::File::Mode::kOpenOrCreate);
    ASSERT_TRUE(file.ok() && file->WriteAt(100, "rot").ok());
  }
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
}

TEST_F(DownloadTest, AServerWithoutRangesSendsWholeFiles) {
  const DownloadItem item = Item("big", Contents(300'000));
  hub_.Always("/big", {.ignore_range = true});
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
}

TEST_F(DownloadTest, AServerWithoutRangesThatKeepsBreakingIsGivenUp) {
  const DownloadItem item = Item("big", Contents(300'000));
  hub_.Always("/big", {.ignore_range = true, .drop_after = 100'000});
  EXPECT_EQ(Run({item}).code(), Code::kUnavailable);
}

TEST_F(DownloadTest, AFileThatChangesBetweenTriesIsFetchedFromItsBeginning) {
  DownloadItem item = Item("big", Contents(60'000));
  options_.retry.attempts = 1;
  hub_.Script("/big", {{.drop_after = 40'000}});
  EXPECT_EQ(Run({item}).code(), Code::kUnavailable);
  const std::string changed = Contents(60'001).substr(1);
  hub_.AddFile("/big", changed, "\"etag-2\"");
  item.file.sha256 = package::Sha256Hex(changed);
  options_.retry.attempts = 3;
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(Read(item), changed);
}

TEST_F(DownloadTest, WrongBytesAreRefusedAndRemoved) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Always("/big", {.corrupt = true});
  const Status status = Run({item});
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'big'"), HasSubstr(item.file.sha256)));
  EXPECT_FALSE(os::Exists(item.target));
  EXPECT_FALSE(StateFileIsLeft(item));
  EXPECT_TRUE(digests_.empty());
}

TEST_F(DownloadTest, WrongBytesOfASmallFileAreFoundByItsGitBlobId) {
  DownloadItem item = Item("config.json", "{}");
  item.file.sha256.clear();
  item.file.git_sha1 = "0967ef424bce6791893e9a57bb952f80fd536e93";  // printf '{}\n' | git hash-object --stdin
  EXPECT_EQ(Run({item}).code(), Code::kDataLoss);
  EXPECT_FALSE(os::Exists(item.target));
  item = Item("config.json", "{}\n");
  item.file.sha256.clear();
  item.file.git_sha1 = "0967ef424bce6791893e9a57bb952f80fd536e93";
  EXPECT_EQ(Run({item}).ToString(), "ok");
}

TEST_F(DownloadTest, AFileOfAnotherLengthThanListedIsRefusedAndRemoved) {
  for (const int64_t size : {59'999, 60'001}) {
    const DownloadItem item = Item("big", Contents(60'000));
    hub_.Always("/big", {.pretend_size = size});
    const Status status = Run({item});
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.ToString();
    EXPECT_THAT(status.message(), AllOf(HasSubstr("60000"), HasSubstr(std::to_string(size))));
    EXPECT_FALSE(os::Exists(item.target));
  }
}

TEST_F(DownloadTest, ABodyThatNeverEndsIsCutAtTheListedLength) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Always("/big", {.ignore_range = true, .chunked = true, .pretend_size = 600'000});
  EXPECT_EQ(Run({item}).code(), Code::kDataLoss);
  EXPECT_FALSE(os::Exists(item.target));
}

TEST_F(DownloadTest, AStalledConnectionIsGivenUpAndContinued) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Script("/big", {{.stall_after = 10'000}});
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(hub_.bytes_sent(), 60'000U);
}

TEST_F(DownloadTest, ABusyHubIsAskedAgainWhenItSays) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Script("/big", {{.status = 429, .headers = {{"Retry-After", "7"}}}, {.status = 503}});
  options_.retry.max_retry_after_ms = 20;
  ASSERT_EQ(Run({item}).ToString(), "ok");
  ASSERT_EQ(recorder_.retries.size(), 2U);
  EXPECT_EQ(recorder_.retries[0].second, 20);
  EXPECT_THAT(recorder_.retries[0].first, HasSubstr("429"));
  EXPECT_THAT(recorder_.retries[1].first, HasSubstr("503"));
}

TEST_F(DownloadTest, AHubThatStaysBusyIsGivenUp) {
  const DownloadItem item = Item("big", Contents(60'000));
  hub_.Always("/big", {.status = 503});
  const Status status = Run({item});
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("503"), HasSubstr("6 times")));
  EXPECT_EQ(hub_.seen().size(), 6U);
}

TEST_F(DownloadTest, EachRefusalHasItsOwnMessage) {
  struct Case {
    int status;
    std::string error_code;
    Code code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {401, "", Code::kUnauthenticated, "set HF_TOKEN"},
      {403, "GatedRepo", Code::kPermissionDenied, "gated"},
      {403, "", Code::kPermissionDenied, "forbidden"},
      {404, "EntryNotFound", Code::kNotFound, "has no file 'big'"},
      {404, "RevisionNotFound", Code::kNotFound, "has no revision 'main'"},
      {404, "RepoNotFound", Code::kNotFound, "no repository"},
      {416, "", Code::kDataLoss, "range not satisfiable"},
  };
  for (const Case& c : cases) {
    const DownloadItem item = Item("big", Contents(1000));
    hub_.Always("/big", {.status = c.status, .headers = {{"X-Error-Code", c.error_code}}});
    const Status status = Run({item});
    EXPECT_EQ(status.code(), c.code) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(c.message));
  }
}

TEST_F(DownloadTest, TheTokenDoesNotFollowARedirectToAnotherHost) {
  FakeHub cdn;
  const std::string contents = Contents(300'000);
  DownloadItem item = Item("big", contents);
  cdn.AddFile("/store/1", contents, "\"cdn\"");
  hub_.Always("/big", {.status = 302, .headers = {{"Location", cdn.url() + "/store/1"}}});
  item.source.bearer_token = "secret";
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(hub_.seen()[0].headers["authorization"], "Bearer secret");
  EXPECT_EQ(cdn.seen().size(), 5U);
  for (const FakeHub::Seen& seen : cdn.seen()) EXPECT_EQ(seen.headers.count("authorization"), 0U);
}

TEST_F(DownloadTest, TheTokenDoesFollowARedirectOnItsOwnHost) {
  const std::string contents = Contents(1000);
  DownloadItem item = Item("new", contents);
  item.source.url = hub_.url() + "/old";
  item.source.bearer_token = "secret";
  hub_.Always("/old", {.status = 307, .headers = {{"Location", "/new"}}});
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(hub_.seen()[1].headers["authorization"], "Bearer secret");
}

TEST_F(DownloadTest, AnAddressBehindARedirectThatRunsOutIsAskedForAgain) {
  FakeHub cdn;
  const std::string contents = Contents(300'000);
  const DownloadItem item = Item("big", contents);
  options_.connections_per_file = 1;
  cdn.AddFile("/signed-1", contents, "\"cdn\"");
  cdn.AddFile("/signed-2", contents, "\"cdn\"");
  cdn.Script("/signed-1", {{}, {}, {.status = 403}});
  hub_.Script("/big", {{.status = 302, .headers = {{"Location", cdn.url() + "/signed-1"}}}});
  hub_.Always("/big", {.status = 302, .headers = {{"Location", cdn.url() + "/signed-2"}}});
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_EQ(package::Sha256Hex(Read(item)), item.file.sha256);
}

TEST_F(DownloadTest, AHubThatForbidsMoreConnectionsIsAskedOverOne) {
  const DownloadItem item = Item("big", Contents(300'000));
  hub_.Script("/big", {{}, {.status = 403}});
  ASSERT_EQ(Run({item}).ToString(), "ok");
}

bool g_disk_is_full = false;

TEST_F(DownloadTest, AFullDiskIsSaidAndWhatThereIsStays) {
  const DownloadItem item = Item("big", Contents(400'000));
  static int writes;
  writes = 0;
  g_disk_is_full = true;
  os::SetFaultHookForTesting([](std::string_view step, const char* path) {
    if (!g_disk_is_full || step != "write" || !std::string_view(path).ends_with(".part")) return 0;
    return ++writes > 2 ? ENOSPC : 0;
  });
  const Status status = Run({item});
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.ToString();
  EXPECT_TRUE(os::Exists(item.target));
  g_disk_is_full = false;
  ASSERT_EQ(Run({item}).ToString(), "ok");
  EXPECT_GT(recorder_.resumed, 0U);
}

TEST_F(DownloadTest, AnInterruptEndsItAndKeepsWhatCame) {
  const DownloadItem item = Item("big", Contents(400'000));
  std::atomic<bool> interrupted{false};
  options_.interrupted = &interrupted;
  options_.connections_per_file = 1;
  hub_.Script("/big", {{}, {}, {.stall_after = 1000}});
  class Interrupter final : public DownloadObserver {
   public:
    explicit Interrupter(std::atomic<bool>* flag) : flag_(flag) {}
    void OnBytes(size_t, int64_t) override { flag_->store(true); }
    void OnResumed(size_t, uint64_t) override {}
    void OnRetry(size_t, const std::string&, int64_t) override {}

   private:
    std::atomic<bool>* flag_;
  } interrupter(&interrupted);
  const Status status = Download({item}, settings_, options_, subject_, &interrupter,
                                 [](const DownloadItem&, const std::string&) { return OkStatus(); });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_TRUE(StateFileIsLeft(item));
}

TEST_F(DownloadTest, AnErrorOfTheReceiverEndsIt) {
  const DownloadItem item = Item("a", Contents(1000));
  const Status status =
      Download({item}, settings_, options_, subject_, &recorder_,
               [](const DownloadItem&, const std::string&) { return ResourceExhausted("no room"); });
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
}

TEST_F(DownloadTest, NobodyListeningIsUnavailable) {
  DownloadItem item = Item("a", Contents(1000));
  {
    const FakeHub gone;
    item.source.url = gone.url() + "/a";
  }
  options_.retry.attempts = 2;
  EXPECT_EQ(Run({item}).code(), Code::kUnavailable);
}

TEST(PartialStateTest, ReadsBackWhatItWrote) {
  PartialState state{100, 40, "\"e\"", {40, 7, 0}};
  const auto read = ParsePartialState(SerializePartialState(state));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->size_bytes, 100U);
  EXPECT_EQ(read->piece_bytes, 40U);
  EXPECT_EQ(read->etag, "\"e\"");
  EXPECT_EQ(read->done, (std::vector<uint64_t>{40, 7, 0}));
}

TEST(PartialStateTest, RefusesDamage) {
  const std::string good = SerializePartialState({100, 40, "\"e\"", {40, 7, 0}});
  EXPECT_FALSE(ParsePartialState("").ok());
  EXPECT_FALSE(ParsePartialState(good.substr(0, good.size() - 1)).ok());
  EXPECT_FALSE(ParsePartialState(good + "x").ok());
  EXPECT_FALSE(ParsePartialState(SerializePartialState({100, 40, "", {41, 7, 0}})).ok());
  EXPECT_FALSE(ParsePartialState(SerializePartialState({100, 40, "", {40, 7, 21}})).ok());
  EXPECT_FALSE(ParsePartialState(SerializePartialState({UINT64_MAX, 1, "", {}})).ok());
}

TEST(ContentRangeTest, ReadsBeginAndTotal) {
  uint64_t begin = 0;
  uint64_t total = 0;
  EXPECT_TRUE(ParseContentRange("bytes 5-9/100", &begin, &total));
  EXPECT_EQ(begin, 5U);
  EXPECT_EQ(total, 100U);
  for (const char* bad :
       {"", "bytes", "bytes 5-9/*", "items 5-9/100", "bytes -9/100", "bytes 5-9/", "bytes 5/9-100"}) {
    EXPECT_FALSE(ParseContentRange(bad, &begin, &total)) << bad;
  }
}

}  // namespace
}  // namespace mlos::hub
