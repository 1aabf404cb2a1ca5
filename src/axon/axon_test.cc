// SPDX-License-Identifier: Apache-2.0
// Whole commands, run in this process against a store of their own and a mirror.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "axon/cli.h"
#include "hub/mirror.h"
#include "os/directory.h"
#include "os/file.h"
#include "package/manifest.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests" / "models";

struct Done {
  int exit_status;
  std::string out;
  std::string err;
};

class AxonTest : public testing::Test {
 protected:
  AxonTest() {
    Set("MLOS_HOME", (folder_.path() / "mlos").string());
    Set("HF_HOME", (folder_.path() / "hf").string());
    for (const char* name :
         {"HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "AXON_MIRROR_TOKEN"})
      unsetenv(name);
    Set("MLOS_CORE_ENDPOINT", "http://127.0.0.1:1");
  }
  static void Set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

  Done Axon(const std::vector<std::string>& words) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int exit_status = RunCommandLine(words, &interrupted_);
    std::fflush(stdout);
    const std::string out = testing::internal::GetCapturedStdout();
    return {exit_status, out, testing::internal::GetCapturedStderr()};
  }
  void StartMirror() {
    hub::MirrorOptions options;
    options.root = folder_.path() / "hub";
    auto started = hub::Mirror::Start(options);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    mirror_ = *std::move(started);
    Set("HF_ENDPOINT", mirror_->url());
  }
  // A fixture model as a repository of the mirror.
  fs::path Publish(const std::string& model, const std::string& id) {
    const fs::path to = folder_.path() / "hub" / id;
    fs::create_directories(to.parent_path());
    fs::copy(kModels / model, to, fs::copy_options::recursive);
    return to;
  }
  std::string Path(const std::string& name) { return (folder_.path() / name).string(); }

  os::TemporaryDirectory folder_;
  std::unique_ptr<hub::Mirror> mirror_;
  std::atomic<bool> interrupted_{false};
};

TEST_F(AxonTest, VersionBeginsAsTheOriginalDoes) {
  EXPECT_THAT(Axon({"version"}).out, AllOf(StartsWith("Axon Version: v"), HasSubstr("\naxon version ")));
  EXPECT_THAT(Axon({"--version"}).out, StartsWith("axon version "));
}

TEST_F(AxonTest, WrongUsageIsTwoAndSaidOnce) {
  const std::vector<std::vector<std::string>> wrong = {
      {"frobnicate"},         {"list", "--nope"},     {"install"},
      {"install", "hf/"},     {"install", "hf/../x"}, {"info", "a b"},
      {"list", "-f", "xml"},  {"completion", "tcsh"}, {"verify"},
      {"install", "nohub/x"}, {"register", "x"}};
  for (const auto& words : wrong) {
    const Done done = Axon(words);
    EXPECT_EQ(done.exit_status, 2) << words.back() << done.err;
    EXPECT_THAT(done.err, HasSubstr("axon: error: "));
    EXPECT_EQ(done.err.find("error:"), done.err.rfind("error:")) << done.err;
    EXPECT_EQ(done.out, "");
  }
}

TEST_F(AxonTest, HelpIsNoError) {
  EXPECT_THAT(Axon({}).out, HasSubstr("install"));
  EXPECT_THAT(Axon({"install", "--help"}).out, HasSubstr("--quant"));
  EXPECT_EQ(Axon({"install", "-h"}).exit_status, 0);
}

TEST_F(AxonTest, NothingInstalledIsAnEmptyList) {
  EXPECT_EQ(Axon({"list", "--json"}).out, "[]\n");
  EXPECT_EQ(Axon({"ls", "-f", "names"}).out, "");
}

TEST_F(AxonTest, LocalFolderIsInstalledListedVerifiedAndRemoved) {
  const Done installed = Axon({"install", (kModels / "digits").string(), "--as", "local/digits"});
  ASSERT_EQ(installed.exit_status, 0) << installed.err;
  EXPECT_THAT(installed.out, AllOf(HasSubstr("installed local/digits@latest (onnx"),
                                   HasSubstr("axon register local/digits@latest")));
  EXPECT_THAT(Axon({"list"}).out, HasSubstr("local/digits@latest"));
  EXPECT_EQ(Axon({"list", "-f", "names"}).out, "local/digits\n");
  const Done info = Axon({"show", "local/digits"});
  EXPECT_THAT(info.out, AllOf(HasSubstr("inputs:"), HasSubstr("FP32"), HasSubstr("model.onnx"),
                              Not(HasSubstr("model.pt"))));
  EXPECT_EQ(Axon({"verify", "local/digits"}).out, "local/digits@latest is intact\n");
  EXPECT_EQ(Axon({"uninstall", "local/digits"}).exit_status, 0);
  EXPECT_EQ(Axon({"list", "--json"}).out, "[]\n");
  EXPECT_EQ(Axon({"rm", "local/digits"}).exit_status, 1);
}

TEST_F(AxonTest, ASingleFileIsInstalledUnderItsOwnName) {
  const Done installed = Axon({"install", (kModels / "onnx" / "two_inputs.onnx").string()});
  ASSERT_EQ(installed.exit_status, 0) << installed.err;
  EXPECT_THAT(installed.out, HasSubstr("local/two_inputs@latest"));
}

TEST_F(AxonTest, SafetensorsFromAHubBecomeOnnxWithTextInputs) {
  Publish("tiny-sbert", "org/tiny-sbert");
  StartMirror();
  const Done installed = Axon({"install", "hf/org/tiny-sbert@latest"});
  ASSERT_EQ(installed.exit_status, 0) << installed.err;
  EXPECT_THAT(installed.out, HasSubstr("converted bert"));
  const Done info = Axon({"info", "hf/org/tiny-sbert", "--json"});
  EXPECT_THAT(info.out, AllOf(HasSubstr("\"sentence_embedding\""), HasSubstr("\"converter\":\"mlos-native\""),
                              HasSubstr("\"registry\":\"huggingface\""), HasSubstr("\"max_length\":")));
  const fs::path dir =
      folder_.path() / "mlos" / "store" / "packages" / "hf" / "org" / "tiny-sbert" / "@latest";
  const auto manifest = package::ReadManifest(dir / "manifest.yaml");
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_EQ(manifest->revision.size(), 40U);
  EXPECT_EQ(manifest->execution_files.at(0).path, "model.onnx");
}

TEST_F(AxonTest, HowPicturesArePreparedIsWrittenDown) {
  const fs::path repository = Publish("convert/vit-cls", "org/vit");
  std::ofstream(repository / "preprocessor_config.json")
      << R"({"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}, "resample": 2,
             "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]})";
  StartMirror();
  const Done installed = Axon({"install", "hf/org/vit@latest"});
  ASSERT_EQ(installed.exit_status, 0) << installed.err;
  const auto manifest = package::ReadManifest(folder_.path() / "mlos" / "store" / "packages" / "hf" / "org" /
                                              "vit" / "@latest" / "manifest.yaml");
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  ASSERT_TRUE(manifest->image.has_value());
  EXPECT_EQ(manifest->image->processor, "ViTImageProcessor");
  EXPECT_EQ(manifest->image->resize, "exact");
  EXPECT_EQ(manifest->image->size, (std::vector<int64_t>{8, 8}));
  EXPECT_EQ(manifest->image->resample, "bilinear");
  EXPECT_EQ(manifest->image->std, (std::vector<double>{0.25, 0.25, 0.25}));
}

TEST_F(AxonTest, TheSameCommitIsNotInstalledTwiceAndANewOneIsAnUpdate) {
  const fs::path repository = Publish("digits", "digits");
  StartMirror();
  ASSERT_EQ(Axon({"install", "hf/digits"}).exit_status, 0);
  EXPECT_THAT(Axon({"pull", "hf/digits"}).out, HasSubstr("already installed hf/digits@latest"));
  std::ofstream(repository / "README.md") << "new";
  EXPECT_THAT(Axon({"install", "hf/digits"}).out, HasSubstr("updated hf/digits@latest"));
  EXPECT_THAT(Axon({"install", "hf/digits", "--force"}).out, HasSubstr("updated"));
}

TEST_F(AxonTest, AnInstalledModelOutlivesItsHub) {
  Publish("digits", "digits");
  StartMirror();
  ASSERT_EQ(Axon({"install", "hf/digits"}).exit_status, 0);
  mirror_.reset();
  const Done again = Axon({"install", "hf/digits"});
  EXPECT_EQ(again.exit_status, 0);
  EXPECT_THAT(again.err, HasSubstr("cannot reach"));
}

TEST_F(AxonTest, OfflineAnInstalledModelIsLeftAsItIs) {
  Publish("digits", "digits");
  StartMirror();
  ASSERT_EQ(Axon({"install", "hf/digits"}).exit_status, 0);
  Set("HF_HUB_OFFLINE", "1");
  EXPECT_THAT(Axon({"install", "hf/digits"}).out, HasSubstr("already installed"));
  EXPECT_EQ(Axon({"install", "hf/other"}).exit_status, 1);
}

TEST_F(AxonTest, DryRunAndRemoteInfoInstallNothing) {
  Publish("digits", "digits");
  StartMirror();
  const Done dry = Axon({"install", "hf/digits", "--dry-run"});
  EXPECT_EQ(dry.exit_status, 0);
  EXPECT_THAT(dry.out, HasSubstr("model.onnx"));
  EXPECT_THAT(Axon({"info", "hf/digits", "--remote"}).out, HasSubstr("model.onnx"));
  EXPECT_EQ(Axon({"info", "hf/digits"}).exit_status, 1);
  EXPECT_EQ(Axon({"list", "--json"}).out, "[]\n");
}

TEST_F(AxonTest, WhatCannotBeExecutedIsRefusedAndLeavesNothing) {
  const fs::path repository = folder_.path() / "hub" / "org" / "bad";
  fs::create_directories(repository);
  StartMirror();
  std::ofstream(repository / "pytorch_model.bin") << "pickle";
  Done done = Axon({"install", "hf/org/bad"});
  EXPECT_EQ(done.exit_status, 1);
  EXPECT_THAT(done.err, AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("of no format")));
  std::ofstream(repository / "model.onnx") << "<html>error</html>";
  done = Axon({"install", "hf/org/bad"});
  EXPECT_EQ(done.exit_status, 1);
  EXPECT_THAT(done.err, HasSubstr("model.onnx"));
  fs::remove(repository / "model.onnx");
  fs::copy(kModels / "tiny-bert" / "model.safetensors", repository / "model.safetensors");
  std::ofstream(repository / "config.json") << R"({"model_type":"nobody"})";
  done = Axon({"install", "hf/org/bad"});
  EXPECT_EQ(done.exit_status, 1);
  EXPECT_THAT(done.err, HasSubstr("nobody"));
  EXPECT_EQ(Axon({"list", "--json"}).out, "[]\n");
}

TEST_F(AxonTest, DamageIsFoundAndMended) {
  Publish("digits", "digits");
  StartMirror();
  ASSERT_EQ(Axon({"install", "hf/digits"}).exit_status, 0);
  const fs::path model = folder_.path() / "mlos/store/packages/hf/digits/@latest/model.onnx";
  {
    ASSERT_TRUE(os::SetMode(model, 0644).ok());
    const auto file = os::File::Open(model, os::File::Mode::kOpenOrCreate);
    ASSERT_TRUE(file.ok() && file->WriteAt(50, "rot").ok());
  }
  const Done damaged = Axon({"verify", "hf/digits"});
  EXPECT_EQ(damaged.exit_status, 1);
  EXPECT_THAT(damaged.err,
              AllOf(HasSubstr("model.onnx"), HasSubstr("axon install --force hf/digits@latest")));
  EXPECT_EQ(Axon({"install", "--force", "hf/digits"}).exit_status, 0);
  EXPECT_EQ(Axon({"verify", "--all"}).exit_status, 0);
}

TEST_F(AxonTest, RevisionsLiveSideBySide) {
  Publish("digits", "digits");
  Publish("digits", "digits@v1");
  std::ofstream(folder_.path() / "hub/digits@v1/README.md") << "one";
  StartMirror();
  ASSERT_EQ(Axon({"install", "hf/digits@v1"}).exit_status, 0);
  EXPECT_THAT(Axon({"info", "hf/digits"}).out, HasSubstr("hf/digits@v1"));
  ASSERT_EQ(Axon({"install", "hf/digits"}).exit_status, 0);
  EXPECT_EQ(Axon({"uninstall", "hf/digits@v1"}).out, "uninstalled hf/digits@v1\n");
  EXPECT_THAT(Axon({"list"}).out, AllOf(HasSubstr("hf/digits@latest"), Not(HasSubstr("@v1"))));
}

TEST_F(AxonTest, AnInterruptIsOneHundredAndThirty) {
  Publish("digits", "digits");
  StartMirror();
  interrupted_ = true;
  EXPECT_EQ(Axon({"install", "hf/digits"}).exit_status, 130);
  interrupted_ = false;
  EXPECT_EQ(Axon({"list", "--json"}).out, "[]\n");
}

TEST_F(AxonTest, RegisteringWithoutADaemonSaysHowToStartIt) {
  ASSERT_EQ(Axon({"install", (kModels / "digits").string(), "--as", "local/digits"}).exit_status, 0);
  const Done done = Axon({"register", "local/digits"});
  EXPECT_EQ(done.exit_status, 1);
  EXPECT_THAT(done.err, HasSubstr("axon serve"));
}

TEST_F(AxonTest, CompletionKnowsVerbsFlagsAndInstalledModels) {
  EXPECT_EQ(Axon({"__complete", "--", "un"}).out, "uninstall\nunregister\n");
  EXPECT_EQ(Axon({"__complete", "--", "install", "--dr"}).out, "--dry-run\n");
  EXPECT_EQ(Axon({"__complete", "--", "completion", ""}).out, "bash\nfish\nzsh\n");
  ASSERT_EQ(Axon({"install", (kModels / "digits").string(), "--as", "local/digits"}).exit_status, 0);
  EXPECT_EQ(Axon({"__complete", "--", "register", "lo"}).out, "local/digits@latest\n");
  EXPECT_THAT(Axon({"completion", "bash"}).out, HasSubstr("complete -o default -F _axon axon"));
}

}  // namespace
}  // namespace mlos::axon
