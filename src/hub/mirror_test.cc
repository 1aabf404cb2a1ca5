// SPDX-License-Identifier: Apache-2.0
#include "hub/mirror.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include <boost/asio.hpp>

#include "hub/download.h"
#include "hub/huggingface.h"
#include "hub/mirror_target.h"
#include "os/directory.h"
#include "os/file.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MirrorTest : public testing::Test {
 protected:
  MirrorTest() {
    Write("org/name/config.json", "{}\n");
    Write("org/name/onnx/model.onnx", std::string(100'000, 'w'));
    Write("bert-base-uncased/model.safetensors", "weights");
    Write("org/name/.hidden", "no");
    Write("secret", "outside");
    options_.root = folder_.path() / "hub";
    options_.cache_dir = folder_.path() / "cache";
  }
  void Write(const std::string& path, const std::string& contents) {
    const fs::path file = folder_.path() / "hub" / path;
    fs::create_directories(file.parent_path());
    ASSERT_TRUE(os::WriteFile(file, contents).ok());
  }
  void Start() {
    auto started = Mirror::Start(options_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    mirror_ = *std::move(started);
    settings_.endpoint = mirror_->url();
  }
  HttpAnswer Get(const std::string& target, const std::string& token = "") {
    settings_.token = token;
    RetryPolicy once;
    once.attempts = 1;
    auto answer = HttpClient(settings_, once, nullptr).Get(mirror_->url() + target, !token.empty());
    EXPECT_TRUE(answer.ok()) << answer.status().ToString();
    return answer.ok() ? *answer : HttpAnswer();
  }
  // Sends `request` as it is; answers everything until the peer closes or `answers` heads have come.
  std::string Raw(const std::string& request) {
    namespace asio = boost::asio;
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::address_v4::loopback(), mirror_->port()});
    asio::write(socket, asio::buffer(request));
    std::string out;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(out), error);
    return out;
  }
  Repository Resolve(const std::string& name, const std::string& revision = "latest") {
    auto repository = HuggingFaceAdapter(settings_, RetryPolicy()).Resolve({"hf", name, revision}, nullptr);
    EXPECT_TRUE(repository.ok()) << repository.status().ToString();
    return repository.ok() ? *repository : Repository();
  }

  os::TemporaryDirectory folder_;
  MirrorOptions options_;
  Settings settings_;
  std::unique_ptr<Mirror> mirror_;
};

TEST_F(MirrorTest, OurAdapterAndDownloaderGetAWholeRepository) {
  Start();
  const Repository repository = Resolve("org/name");
  ASSERT_EQ(repository.files.size(), 2U);
  EXPECT_EQ(repository.files[0].path, "config.json");
  EXPECT_EQ(repository.files[0].git_sha1, "0967ef424bce6791893e9a57bb952f80fd536e93");
  EXPECT_EQ(repository.files[1].sha256, package::Sha256Hex(std::string(100'000, 'w')));
  std::vector<DownloadItem> items;
  for (const RemoteFile& file : repository.files) {
    DownloadItem item{file, HuggingFaceAdapter(settings_, RetryPolicy()).Locate(repository, file),
                      folder_.path() / "out"};
    item.target += std::to_string(items.size());
    items.push_back(item);
  }
  class Silent final : public DownloadObserver {
    void OnBytes(size_t, int64_t) override {}
    void OnResumed(size_t, uint64_t) override {}
    void OnRetry(size_t, const std::string& reason, int64_t) override { ADD_FAILURE() << reason; }
  } observer;
  DownloadOptions options;
  options.piece_bytes = 10'000;
  const Status status = Download(items, settings_, options, {}, &observer,
                                 [](const DownloadItem&, const std::string&) { return OkStatus(); });
  EXPECT_EQ(status.ToString(), "ok");
  EXPECT_EQ(*os::ReadFile(items[1].target, 1U << 20U), std::string(100'000, 'w'));
}

TEST_F(MirrorTest, CommitIsTheSameForTheSameFilesAndAnotherForOthers) {
  Start();
  const std::string commit = Resolve("org/name").commit;
  EXPECT_TRUE(IsCommit(commit));
  EXPECT_EQ(Resolve("org/name", commit).commit, commit);
  fs::copy(folder_.path() / "hub" / "org" / "name", folder_.path() / "hub" / "org" / "copy",
           fs::copy_options::recursive);
  EXPECT_EQ(Resolve("org/copy").commit, commit);
  Write("org/name/config.json", "{ }");
  EXPECT_NE(Resolve("org/name").commit, commit);
}

TEST_F(MirrorTest, RevisionFolderIsABranch) {
  Write("org/name@v1.0/config.json", "{\"v\":1}");
  Start();
  EXPECT_EQ(Resolve("org/name", "v1.0").files.size(), 1U);
  EXPECT_NE(Resolve("org/name", "v1.0").commit, Resolve("org/name").commit);
  EXPECT_EQ(Get("/api/models").body.find("@"), std::string::npos);
}

TEST_F(MirrorTest, EachMissingThingHasItsOwnErrorCode) {
  Start();
  EXPECT_EQ(Get("/api/models/org/none").Header("x-error-code"), "RepoNotFound");
  EXPECT_EQ(Get("/api/models/org").status, 404);
  EXPECT_EQ(Get("/api/models/org/name/revision/v9").Header("x-error-code"), "RevisionNotFound");
  EXPECT_EQ(Get("/org/name/resolve/main/none").Header("x-error-code"), "EntryNotFound");
  EXPECT_EQ(Get("/bert-base-uncased/resolve/main/model.safetensors").body, "weights");
  EXPECT_EQ(Get("/somewhere/else").status, 404);
}

TEST_F(MirrorTest, NothingOutsideTheFolderOrHiddenIsServed) {
  fs::create_symlink("/etc/hostname", folder_.path() / "hub" / "org" / "name" / "link");
  Start();
  for (const char* target :
       {"/org/name/resolve/main/../../secret", "/org/name/resolve/main/%2e%2e/%2e%2e/secret",
        "/org/name/resolve/main/..%2f..%2fsecret", "/../resolve/main/secret", "/.ssh/resolve/main/id",
        "/org/name/resolve/main/.hidden", "/org/name/resolve/main/link", "/org/name/resolve/main/%00",
        "/org/name/resolve/%2e%2e/config.json", "/org/name/resolve/main//config.json"}) {
    const std::string answer =
        Raw("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("404")) << target;
  }
}

TEST_F(MirrorTest, HeadAndRangesAnswerAsAHubDoes) {
  Start();
  const std::string path = "/org/name/resolve/main/onnx/model.onnx";
  const std::string sha = package::Sha256Hex(std::string(100'000, 'w'));
  const std::string head = Raw("HEAD " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("200 OK"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 100000"));
  EXPECT_THAT(head, HasSubstr("ETag: \"" + sha + "\""));
  EXPECT_THAT(head, HasSubstr("X-Linked-Size: 100000"));
  EXPECT_THAT(head, HasSubstr("X-Repo-Commit: "));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  const auto ranged = [&](const std::string& range) {
    return Raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + range + "\r\n\r\n");
  };
  EXPECT_THAT(ranged("Range: bytes=99998-"), HasSubstr("Content-Range: bytes 99998-99999/100000"));
  EXPECT_TRUE(ranged("Range: bytes=99998-").ends_with("\r\n\r\nww"));
  EXPECT_THAT(ranged("Range: bytes=100000-"), HasSubstr("416"));
  EXPECT_THAT(ranged("Range: bytes=0-1\r\nIf-Range: \"old\""), HasSubstr("200 OK"));
  EXPECT_THAT(ranged("If-None-Match: \"" + sha + "\""), HasSubstr("304"));
}

TEST_F(MirrorTest, OneConnectionServesSeveralRequests) {
  Start();
  const std::string get = "GET /bert-base-uncased/resolve/main/model.safetensors HTTP/1.1\r\nHost: x\r\n";
  const std::string answer = Raw(get + "\r\n" + get + "Connection: close\r\n\r\n");
  EXPECT_NE(answer.find("weightsHTTP/1.1 200"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("weights"));
}

TEST_F(MirrorTest, TokenIsDemandedWhenOneIsSet) {
  options_.token = "t0ken";
  Start();
  EXPECT_EQ(Get("/api/models/org/name").status, 401);
  EXPECT_EQ(Get("/api/models/org/name", "other").status, 401);
  EXPECT_EQ(Get("/api/models/org/name", "t0ken").status, 200);
}

TEST_F(MirrorTest, WritesAreRefused) {
  Start();
  EXPECT_THAT(Raw("POST /api/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
              HasSubstr("405"));
}

TEST_F(MirrorTest, DigestsAreRememberedOnDisk) {
  Start();
  (void)Resolve("org/name");
  EXPECT_EQ(std::distance(fs::directory_iterator(options_.cache_dir), fs::directory_iterator()), 2);
}

TEST_F(MirrorTest, ATakenPortIsAnError) {
  Start();
  options_.port = mirror_->port();
  EXPECT_EQ(Mirror::Start(options_).status().code(), Code::kFailedPrecondition);
  options_.root = folder_.path() / "none";
  EXPECT_EQ(Mirror::Start(options_).status().code(), Code::kInvalidArgument);
}

TEST(MirrorTargetTest, TellsIdsFromVerbs) {
  const auto one = ParseMirrorTarget("/api/models/bert/revision/main?blobs=true");
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->id, "bert");
  EXPECT_TRUE(one->blobs);
  const auto two =
      ParseMirrorTarget("/api/models/org/name/tree/refs%2Fpr%2F1/sub/dir?recursive=1&expand=false");
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->id, "org/name");
  EXPECT_EQ(two->revision, "refs/pr/1");
  EXPECT_EQ(two->path, "sub/dir");
  EXPECT_TRUE(two->recursive);
  EXPECT_EQ(ParseMirrorTarget("/org/name/resolve/main/a%20b")->path, "a b");
  for (const char* bad : {"", "x", "/", "/api", "/api/models/a/b/c", "/a/resolve/main", "/a/b/resolve/main",
                          "/a/b/c/resolve/main/x", "/a%zz/resolve/main/x", "/a@b/resolve/main/x"}) {
    EXPECT_FALSE(ParseMirrorTarget(bad).ok()) << bad;
  }
}

TEST(RangeHeaderTest, FollowsTheStandard) {
  const auto range = [](const char* header) { return ParseRangeHeader(header, 10); };
  EXPECT_EQ((*range("bytes=0-3"))->length, 4U);
  EXPECT_EQ((*range("bytes=5-"))->begin, 5U);
  EXPECT_EQ((*range("bytes=-3"))->begin, 7U);
  EXPECT_EQ((*range("bytes=-30"))->length, 10U);
  EXPECT_EQ((*range("bytes=8-30"))->length, 2U);
  for (const char* ignored : {"", "items=0-1", "bytes=3-2", "bytes=0-1,3-4", "bytes=a-b", "bytes=5"}) {
    EXPECT_TRUE(range(ignored).ok() && !range(ignored)->has_value()) << ignored;
  }
  for (const char* bad : {"bytes=10-", "bytes=10-12", "bytes=-0"}) EXPECT_FALSE(range(bad).ok()) << bad;
}

}  // namespace
}  // namespace mlos::hub
