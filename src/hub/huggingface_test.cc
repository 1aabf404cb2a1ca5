// SPDX-License-Identifier: Apache-2.0
#include "hub/huggingface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/local.h"
#include "hub/testing/fake_hub.h"
#include "os/directory.h"
#include "os/file.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kSha256(64, 'a');
const std::string kInfo = "/api/models/org/name/revision/main?blobs=true";

std::string InfoBody(const std::string& siblings) {
  return R"({"id":"org/name","sha":")" + kCommit +
         R"(","pipeline_tag":"fill-mask","tags":["x","license:mit"],"siblings":[)" + siblings + "]}";
}

class HuggingFaceTest : public testing::Test {
 protected:
  HuggingFaceTest() {
    settings_.endpoint = hub_.url();
    settings_.cache_dir = folder_.path() / "hub";
    retry_.base_delay_ms = 1;
    retry_.cap_delay_ms = 1;
    retry_.max_retry_after_ms = 1;
  }
  void AnswerInfo(const std::string& body) { hub_.AddFile(kInfo, body, "\"\""); }
  Result<Repository> Resolve(const std::string& revision = "latest") {
    return HuggingFaceAdapter(settings_, retry_).Resolve({"hf", "org/name", revision}, nullptr);
  }
  // One file in a Hugging Face cache, as its tools write it; answers the blob.
  fs::path Cache(const std::string& path, const std::string& contents) {
    const fs::path dir = settings_.cache_dir / "models--org--name";
    const std::string sha = package::Sha256Hex(contents);
    const fs::path link = dir / "snapshots" / kCommit / path;
    fs::create_directories(link.parent_path());
    fs::create_directories(dir / "blobs");
    fs::create_directories(dir / "refs");
    EXPECT_TRUE(os::WriteFile(dir / "blobs" / sha, contents).ok());
    EXPECT_TRUE(os::WriteFile(dir / "refs" / "main", kCommit).ok());
    fs::create_symlink(dir / "blobs" / sha, link);
    return dir / "blobs" / sha;
  }

  FakeHub hub_;
  os::TemporaryDirectory folder_;
  Settings settings_;
  RetryPolicy retry_;
};

TEST_F(HuggingFaceTest, OneCallGivesCommitSizesAndDigests) {
  AnswerInfo(InfoBody(R"({"rfilename":"model.safetensors","size":133,"blobId":")" + kCommit +
                      R"(","lfs":{"sha256":")" + kSha256 +
                      R"(","size":5000,"pointerSize":133}},{"rfilename":"config.json","size":7,"blobId":")" +
                      kCommit + R"("})"));
  const auto repository = Resolve();
  ASSERT_TRUE(repository.ok()) << repository.status().ToString();
  EXPECT_EQ(repository->commit, kCommit);
  EXPECT_EQ(repository->license, "mit");
  EXPECT_EQ(repository->task, "fill-mask");
  ASSERT_EQ(repository->files.size(), 2U);
  EXPECT_EQ(repository->files[0].path, "config.json");
  EXPECT_EQ(repository->files[0].git_sha1, kCommit);
  EXPECT_EQ(repository->files[1].size_bytes, 5000U);
  EXPECT_EQ(repository->files[1].sha256, kSha256);
  EXPECT_EQ(repository->files[1].git_sha1, "");
}

TEST_F(HuggingFaceTest, HubThatLeavesOutSizesIsAskedForItsTreePageByPage) {
  AnswerInfo(InfoBody(R"({"rfilename":"a"},{"rfilename":"b"})"));
  const std::string tree = "/api/models/org/name/tree/" + kCommit + "?recursive=true&expand=false";
  hub_.Always(tree,
              {.status = 200,
               .body = R"([{"type":"directory","path":"d"},{"type":"file","path":"b","size":2,"oid":"x"}])",
               .headers = {{"Link", "<" + hub_.url() + "/page2>; rel=\"next\""}}});
  hub_.AddFile("/page2",
               R"([{"type":"file","path":"a","size":9,"lfs":{"oid":")" + kSha256 + R"(","size":9}}])",
               "\"\"");
  const auto repository = Resolve();
  ASSERT_TRUE(repository.ok()) << repository.status().ToString();
  ASSERT_EQ(repository->files.size(), 2U);
  EXPECT_EQ(repository->files[0].path, "a");
  EXPECT_EQ(repository->files[0].sha256, kSha256);
}

TEST_F(HuggingFaceTest, TokenIsSentAndRefusalsNameItsOrigin) {
  settings_.token = "secret";
  settings_.token_origin = "HF_TOKEN";
  hub_.Always(kInfo, {.status = 401});
  const auto repository = Resolve();
  EXPECT_EQ(repository.status().code(), Code::kUnauthenticated);
  EXPECT_THAT(repository.status().message(),
              AllOf(HasSubstr("HF_TOKEN"), HasSubstr("not accepted"), HasSubstr("org/name")));
  EXPECT_EQ(hub_.seen()[0].headers["authorization"], "Bearer secret");
}

TEST_F(HuggingFaceTest, MissingRevisionIsNotAMissingRepository) {
  hub_.Always("/api/models/org/name/revision/feature%2Fx?blobs=true",
              {.status = 404, .headers = {{"X-Error-Code", "RevisionNotFound"}}});
  const auto repository = Resolve("feature/x");
  EXPECT_EQ(repository.status().code(), Code::kNotFound);
  EXPECT_THAT(repository.status().message(), HasSubstr("has no revision 'feature/x'"));
}

TEST_F(HuggingFaceTest, BusyHubIsAskedAgain) {
  hub_.Script(kInfo, {{.status = 429, .headers = {{"Retry-After", "1"}}}, {.status = 502}});
  AnswerInfo(InfoBody(R"({"rfilename":"a","size":1})"));
  EXPECT_TRUE(Resolve().ok());
  EXPECT_EQ(hub_.seen().size(), 3U);
}

TEST_F(HuggingFaceTest, FileNamesThatWouldLeaveThePackageAreRefused) {
  for (const char* path : {"../x", "/etc/passwd", "a/../b", "a//b", "a\\\\b", "a\\u0007", ""}) {
    AnswerInfo(InfoBody(R"({"rfilename":")" + std::string(path) + R"(","size":1})"));
    EXPECT_EQ(Resolve().status().code(), Code::kDataLoss) << path;
  }
}

TEST_F(HuggingFaceTest, AnswersThatAreNoAnswersAreSaidToBe) {
  for (const char* body : {"", "<html>", "[]", "{}", R"({"sha":"main","siblings":[]})", R"({"sha":1})"}) {
    AnswerInfo(body);
    EXPECT_EQ(Resolve().status().code(), Code::kDataLoss) << body;
  }
}

TEST_F(HuggingFaceTest, OfflineReadsTheCacheAndAsksNobody) {
  settings_.offline = true;
  EXPECT_EQ(Resolve().status().code(), Code::kNotFound);
  const fs::path blob = Cache("onnx/model.onnx", "weights");
  HuggingFaceAdapter adapter(settings_, retry_);
  const auto repository = adapter.Resolve({"hf", "org/name", "latest"}, nullptr);
  ASSERT_TRUE(repository.ok()) << repository.status().ToString();
  EXPECT_EQ(repository->commit, kCommit);
  ASSERT_EQ(repository->files.size(), 1U);
  EXPECT_EQ(repository->files[0].path, "onnx/model.onnx");
  EXPECT_EQ(repository->files[0].sha256, package::Sha256Hex("weights"));
  const FileSource source = adapter.Locate(*repository, repository->files[0]);
  EXPECT_EQ(source.local, blob);
  EXPECT_TRUE(source.url.empty());
  EXPECT_TRUE(hub_.seen().empty());
  EXPECT_TRUE(Resolve(kCommit).ok());
}

TEST_F(HuggingFaceTest, CacheServesWhatTheHubStillLists) {
  const fs::path blob = Cache("model.onnx", "weights");
  AnswerInfo(InfoBody(R"({"rfilename":"model.onnx","lfs":{"size":7,"sha256":")" +
                      package::Sha256Hex("weights") + R"("}},{"rfilename":"other.onnx","size":3})"));
  HuggingFaceAdapter adapter(settings_, retry_);
  const auto repository = adapter.Resolve({"hf", "org/name", "latest"}, nullptr);
  ASSERT_TRUE(repository.ok()) << repository.status().ToString();
  EXPECT_EQ(adapter.Locate(*repository, repository->files[0]).local, blob);
  const FileSource other = adapter.Locate(*repository, repository->files[1]);
  EXPECT_TRUE(other.local.empty());
  EXPECT_EQ(other.url, hub_.url() + "/org/name/resolve/" + kCommit + "/other.onnx");
}

TEST_F(HuggingFaceTest, UnreachableHubFallsBackToTheCacheAndSaysSo) {
  Cache("model.onnx", "weights");
  {
    const FakeHub gone;
    settings_.endpoint = gone.url();
  }
  const auto repository = Resolve();
  ASSERT_TRUE(repository.ok()) << repository.status().ToString();
  EXPECT_THAT(repository->note, HasSubstr("cannot reach"));
}

TEST(LocalAdapterTest, FolderIsListedWithoutHiddenFilesAndOutsideLinks) {
  const os::TemporaryDirectory folder;
  fs::create_directories(folder.path() / "m" / ".git");
  fs::create_directories(folder.path() / "m" / "sub");
  ASSERT_TRUE(os::WriteFile(folder.path() / "m" / ".git" / "x", "1").ok());
  ASSERT_TRUE(os::WriteFile(folder.path() / "m" / "sub" / "a.onnx", "22").ok());
  LocalAdapter adapter(folder.path() / "m");
  const auto repository = adapter.Resolve({"local", "m", "latest"}, nullptr);
  ASSERT_TRUE(repository.ok());
  ASSERT_EQ(repository->files.size(), 1U);
  EXPECT_EQ(repository->files[0].path, "sub/a.onnx");
  EXPECT_EQ(repository->files[0].size_bytes, 2U);
  fs::create_symlink("/etc/hostname", folder.path() / "m" / "link");
  EXPECT_EQ(adapter.Resolve({"local", "m", "latest"}, nullptr).status().code(), Code::kInvalidArgument);
}

TEST(AdapterForTest, UnknownNamespaceNamesTheHubs) {
  const auto adapter = AdapterFor({"microsoft", "resnet-50", "latest"}, Settings());
  EXPECT_EQ(adapter.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(adapter.status().message(), HasSubstr("hf/microsoft/resnet-50"));
}

}  // namespace
}  // namespace mlos::hub
