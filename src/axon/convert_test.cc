// SPDX-License-Identifier: Apache-2.0
// axon convert, and the install of PyTorch checkpoints, run in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "axon/cli.h"
#include "axon/fallback.h"
#include "os/directory.h"
#include "os/file.h"
#include "package/format.h"
#include "package/store.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const fs::path kCases = fs::path(MLOS_SOURCE_DIR) / "tests/models/convert";

class ConvertVerbTest : public testing::Test {
 protected:
  ConvertVerbTest() { setenv("MLOS_HOME", (folder_.path() / "mlos").c_str(), 1); }

  int Axon(const std::vector<std::string>& words) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int exit_status = RunCommandLine(words, &interrupted_);
    std::fflush(stdout);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return exit_status;
  }
  // A checkpoint as a hub has it, without the answers.
  std::string Checkpoint(const std::string& name) {
    const fs::path to = folder_.path() / name;
    fs::create_directories(to);
    if (!fs::exists(kCases / name)) return to.string();
    for (const auto& entry : fs::directory_iterator(kCases / name)) {
      if (!entry.path().filename().string().starts_with("golden."))
        fs::copy(entry.path(), to / entry.path().filename());
    }
    return to.string();
  }

  os::TemporaryDirectory folder_;
  std::atomic<bool> interrupted_{false};
  std::string out_, err_;
};

TEST_F(ConvertVerbTest, WritesTheGraphBesideTheWeights) {
  const std::string folder = Checkpoint("torch-zip");
  ASSERT_EQ(Axon({"convert", folder}), 0) << err_;
  EXPECT_THAT(out_,
              AllOf(HasSubstr("converted mpnet (token-classification)"), HasSubstr("pytorch_model.bin")));
  const auto info = package::InspectModelFile(fs::path(folder) / "model.onnx");
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(info->external_files, std::vector<std::string>{"pytorch_model.bin"});
  EXPECT_FALSE(os::Exists(fs::path(folder) / "model.onnx.data"));
}

TEST_F(ConvertVerbTest, CopiesTheWeightsToAnotherFolderAndWhatCannotBeMappedIntoASideCar) {
  const std::string folder = Checkpoint("torch-strided");
  const fs::path out = folder_.path() / "new/folder";
  ASSERT_EQ(Axon({"convert", folder, "--out", out.string()}), 0) << err_;
  for (const char* file : {"model.onnx", "model.onnx.data", "checkpoint.pth", "config.json"})
    EXPECT_TRUE(os::Exists(out / file)) << file;
  EXPECT_FALSE(os::Exists(fs::path(folder) / "model.onnx"));
}

TEST_F(ConvertVerbTest, ExplainWritesNothingAndSaysWhatIsUsedAndIgnored) {
  const std::string folder = Checkpoint("albert-mlm");
  ASSERT_EQ(Axon({"convert", folder, "--explain", "--task", "feature-extraction"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("architecture  albert"), HasSubstr("other tasks   fill-mask"),
                          HasSubstr("input_ids  INT64 [batch_size, sequence_length]"),
                          HasSubstr("predictions.bias (fill-mask head, not part of the task)")));
  EXPECT_FALSE(os::Exists(fs::path(folder) / "model.onnx"));
}

TEST_F(ConvertVerbTest, ListsArchitecturesAndTasks) {
  ASSERT_EQ(Axon({"convert", "--list"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("deberta-v2"), HasSubstr("replaced-token-detection")));
  ASSERT_EQ(Axon({"convert", "--list", "--json"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr(R"("architecture":"bert")"), HasSubstr(R"("BertForMaskedLM")")));
}

TEST_F(ConvertVerbTest, JsonHasTensorsAndSizes) {
  ASSERT_EQ(Axon({"convert", Checkpoint("torch-shards"), "--json"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr(R"("task":"question-answering")"), HasSubstr(R"("side_car_bytes":0)"),
                          HasSubstr("pytorch_model-00002-of-00002.bin")));
}

TEST_F(ConvertVerbTest, RefusalsNameTheThing) {
  EXPECT_EQ(Axon({"convert"}), 2);
  EXPECT_EQ(Axon({"convert", folder_.path().string()}), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("no weights"), testing::Not(HasSubstr("--fallback"))));
  const std::string folder = Checkpoint("torch-zip");
  EXPECT_EQ(Axon({"convert", folder, "--task", "juggling"}), 1);
  EXPECT_THAT(err_, HasSubstr("'juggling'"));
  EXPECT_EQ(Axon({"convert", folder + "/config.json"}), 1);
  EXPECT_THAT(err_, HasSubstr("is no file of weights; name its folder"));
  EXPECT_EQ(Axon({"convert", folder, "--type", "f16"}), 2);
  EXPECT_THAT(err_, HasSubstr("--type is for GGUF"));
}

// A package as an older version of mlOS would have made it: another graph, an older converter.
TEST_F(ConvertVerbTest, UpdateMakesTheGraphAnewFromTheWeightsThatAreThere) {
  ASSERT_EQ(Axon({"install", Checkpoint("torch-zip"), "--as", "local/old"}), 0) << err_;
  ASSERT_EQ(Axon({"update", "local/old"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("up to date"));
  std::string graph;
  {
    const auto store = package::Store::Open(folder_.path() / "mlos/store");
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const auto ref = package::ParseModelRef("local/old@latest");
    auto package = (*store)->Find(*ref);
    ASSERT_TRUE(package.ok()) << package.status().ToString();
    graph = os::ReadFile(package->dir / "model.onnx", 1 << 20).value();
    const auto install = (*store)->Begin(*ref);
    for (const package::PackageFile& file : package->manifest.files) {
      if (file.path == "model.onnx") continue;
      ASSERT_TRUE((*install)->LinkBlob(file.path, file.sha256).value());
    }
    const auto made = (*install)->AddContents("model.onnx", "the graph of an older converter");
    ASSERT_TRUE(made.ok());
    package->manifest.conversion->version = "0.0.1";
    package->manifest.conversion->graph_sha256 = made->sha256;
    ASSERT_TRUE((*install)->Commit(package->manifest).ok());
  }
  ASSERT_EQ(Axon({"verify", "local/old"}), 0);
  EXPECT_THAT(err_, HasSubstr("axon update"));
  ASSERT_EQ(Axon({"update", "--all", "--dry-run"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("would be updated"));
  ASSERT_EQ(Axon({"update", "local/old"}), 0) << err_;
  EXPECT_THAT(
      out_, AllOf(HasSubstr("local/old@latest: updated"), HasSubstr("model.onnx "), HasSubstr("0.0.1 -> ")));
  const auto store = package::Store::Open(folder_.path() / "mlos/store");
  const auto updated = (*store)->Find(*package::ParseModelRef("local/old@latest"));
  EXPECT_EQ(os::ReadFile(updated->dir / "model.onnx", 1 << 20).value(), graph);
  ASSERT_EQ(Axon({"verify", "local/old"}), 0) << err_;
  ASSERT_EQ(Axon({"update", "local/old"}), 0);
  EXPECT_THAT(out_, HasSubstr("up to date"));
}

TEST_F(ConvertVerbTest, Int8IsWrittenBesideTheWeightsAndRemembered) {
  const std::string folder = Checkpoint("bert-shaped");
  for (const char* file : {"config.json", "model.safetensors"})
    fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/tiny-bert" / file, fs::path(folder) / file);
  ASSERT_EQ(Axon({"convert", folder, "--quantize", "int8"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr(" in int8; "));
  EXPECT_TRUE(os::Exists(fs::path(folder) / "model.int8.data"));
  EXPECT_FALSE(os::Exists(fs::path(folder) / ".model.f32.onnx"));
  fs::remove(fs::path(folder) / "model.onnx");
  ASSERT_EQ(Axon({"install", folder, "--as", "local/int8", "--quantize", "int8"}), 0) << err_;
  ASSERT_EQ(Axon({"info", "local/int8", "--json"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr(R"("quantization":"int8")"), HasSubstr("model.int8.data"),
                          ::testing::Not(HasSubstr("reference.onnx"))));
  ASSERT_EQ(Axon({"update", "local/int8"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("up to date"));
  EXPECT_EQ(Axon({"convert", Checkpoint("resnet-base"), "--quantize", "int8"}), 1);
  EXPECT_THAT(err_, HasSubstr("has none"));
}

TEST_F(ConvertVerbTest, TheFallBackIsNeverTakenUnasked) {
  const fs::path folder = folder_.path() / "saved";
  fs::create_directories(folder);
  ASSERT_TRUE(os::WriteFile(folder / "config.json", R"({"model_type":"nobody"})").ok());
  EXPECT_EQ(Axon({"convert", folder.string()}), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("nobody"), HasSubstr("--fallback python or container")));
  EXPECT_EQ(Axon({"convert", folder.string(), "--fallback", "python"}), 2);
  EXPECT_THAT(err_, HasSubstr("--out"));
  unsetenv("MLOS_CONVERTER_PYTHON");
  setenv("MLOS_CONVERTER_DIR", MLOS_SOURCE_DIR "/packaging/converter", 1);
  EXPECT_EQ(
      Axon({"convert", folder.string(), "--fallback", "python", "--out", (folder_.path() / "o").string()}),
      1);
  EXPECT_THAT(err_, HasSubstr("--yes"));
  unsetenv("MLOS_CONVERTER_IMAGE");
  EXPECT_EQ(
      Axon({"convert", folder.string(), "--fallback", "container", "--out", (folder_.path() / "o").string()}),
      1);
  EXPECT_THAT(err_, HasSubstr("MLOS_CONVERTER_IMAGE"));
}

TEST(ConverterForTest, TensorFlowHasAnEnvironmentOfItsOwn) {
  const os::TemporaryDirectory folder;
  ASSERT_TRUE(os::WriteFile(folder.path() / "saved_model.pb", "x").ok());
  EXPECT_EQ(ConverterFor(folder.path()), "tensorflow");
  for (const char* name : {"a.keras", "a.h5", "b/a.tflite", "saved_model.pb"})
    EXPECT_EQ(ConverterFor(name), "tensorflow") << name;
  for (const char* name : {"folder", "model.safetensors", "tflite"})
    EXPECT_EQ(ConverterFor(name), "transformers") << name;
}

TEST(ContainerArgumentsTest, NothingButTheModelAndTheAnswerIsSeenAndNoNetwork) {
  FallbackRequest request;
  request.source = "/models/bert";
  request.out = "/tmp/out";
  request.task = "fill-mask";
  const std::string image = "converter@sha256:" + std::string(64, 'a');
  const auto arguments = ContainerArguments(request, "podman", image, 1000, 1001);
  ASSERT_TRUE(arguments.ok()) << arguments.status().ToString();
  const auto has = [&](const std::vector<std::string>& words) {
    return std::search(arguments->begin(), arguments->end(), words.begin(), words.end()) != arguments->end();
  };
  EXPECT_TRUE(has({"--network", "none"}));
  EXPECT_TRUE(has({"--user", "1000:1001"}));
  EXPECT_TRUE(has({"--cap-drop", "ALL"}));
  EXPECT_TRUE(has({"--read-only"}));
  EXPECT_TRUE(has({"--volume", "/models/bert:/in/bert:ro"}));
  EXPECT_TRUE(has({image, "/in/bert", "/out", "--task", "fill-mask"}));
  const auto as_root = ContainerArguments(request, "docker", image, 0, 0);
  EXPECT_NE(std::find(as_root->begin(), as_root->end(), "65534:65534"), as_root->end());
}

TEST(ContainerArgumentsTest, ImagesWithoutDigestAndPathsThatAreOptionsAreRefused) {
  FallbackRequest request;
  request.source = "/models/bert";
  request.out = "/tmp/out";
  for (const char* image : {"converter", "converter:latest", "sha256:12", "--privileged@sha256:"})
    EXPECT_EQ(ContainerArguments(request, "docker", image, 1, 1).status().code(), Code::kInvalidArgument)
        << image;
  request.source = "/models/a:/etc";
  EXPECT_EQ(ContainerArguments(request, "docker", "sha256:" + std::string(64, 'a'), 1, 1).status().code(),
            Code::kInvalidArgument);
}

TEST_F(ConvertVerbTest, AMultipleChoiceModelTakesTensorsNotText) {
  const fs::path folder = Checkpoint("bert-choices");
  fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/tiny-bert/tokenizer.json", folder / "tokenizer.json");
  ASSERT_EQ(Axon({"install", folder.string(), "--as", "local/choices"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("lists of choices"));
}

TEST_F(ConvertVerbTest, PytorchRepositoriesAreInstalled) {
  for (const char* name :
       {"torch-zip", "torch-legacy", "torch-shards", "torch-strided", "torch-scripted", "torch-module"}) {
    ASSERT_EQ(Axon({"install", Checkpoint(name), "--as", std::string("local/") + name}), 0) << err_;
    EXPECT_THAT(out_, HasSubstr("to ONNX: model.onnx"));
    ASSERT_EQ(Axon({"verify", std::string("local/") + name}), 0) << err_;
  }
  ASSERT_EQ(Axon({"info", "local/torch-shards"}), 0);
  EXPECT_THAT(out_, HasSubstr("converted from pytorch (distilbert, question-answering)"));
}

// --- decoder-only language models ------------------------------------------------------------------------------

class ConvertGgufTest : public ConvertVerbTest {
 protected:
  fs::path Model(const std::string& name) {
    const fs::path to = folder_.path() / name;
    fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/gguf" / name, to);
    return to;
  }
};

TEST_F(ConvertGgufTest, WritesAFileThatSaysWhatItIs) {
  const fs::path model = Model("qwen3");
  ASSERT_EQ(Axon({"convert", model.string()}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("converted qwen3"), HasSubstr("tokenizer gpt2/qwen2"),
                          HasSubstr("note: text is not")));
  const auto info = package::InspectModelFile(model / "model.gguf");
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(info->architecture, "qwen3");
}

TEST_F(ConvertGgufTest, WritesTheFileThatWasNamed) {
  const fs::path out = folder_.path() / "new/name.gguf";
  ASSERT_EQ(Axon({"convert", Model("gemma2").string(), "--format", "gguf", "--type", "f16", "--out",
                  out.string(), "--json"}),
            0)
      << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr(R"("architecture":"gemma2")"), HasSubstr(R"("notes":[])")));
  EXPECT_TRUE(os::Exists(out));
}

TEST_F(ConvertGgufTest, ExplainWritesNothing) {
  const fs::path model = Model("gemma3-with-pictures");
  ASSERT_EQ(Axon({"convert", model.string(), "--explain"}), 0) << err_;
  EXPECT_THAT(out_,
              AllOf(HasSubstr("used     language_model.model.norm.weight"),
                    HasSubstr("ignored  vision_tower.patch.weight (pictures, not part of the text model)")));
  EXPECT_FALSE(os::Exists(model / "model.gguf"));
}

TEST_F(ConvertGgufTest, AnInstallMakesAPackageThatIsExecutedAsGguf) {
  ASSERT_EQ(Axon({"install", Model("llama3-scaled").string(), "--as", "test/llama"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("converted llama to GGUF"), HasSubstr("(gguf, ")));
  ASSERT_EQ(Axon({"info", "test/llama"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("model.gguf"));
}

TEST_F(ConvertGgufTest, RefusesQuantisationOfOnnx) {
  EXPECT_EQ(Axon({"convert", Checkpoint("albert-mlm"), "--quantize", "q8_0"}), 2);
  EXPECT_THAT(err_, HasSubstr("is for GGUF; this becomes ONNX, which knows int8"));
}

TEST_F(ConvertGgufTest, QuantisesByTheProgramBesideIt) {
  const fs::path model = Model("llama3-scaled");
  if (!os::Exists(fs::path(MLOS_BINARY_DIR) / "bin/mlos-quantize"))
    GTEST_SKIP() << "mlos-quantize is not built";
  // Of a width that blocks of 32 do not divide nothing can be quantised; the message says who refused.
  const int status = Axon({"convert", model.string(), "--quantize", "q8_0"});
  EXPECT_TRUE(status == 0 || err_.find("mlos-quantize q8_0") != std::string::npos) << err_;
  EXPECT_FALSE(os::Exists(model / "model.gguf.unquantized"));
  ASSERT_EQ(Axon({"convert", (fs::path(MLOS_SOURCE_DIR) / "tests/models/addition").string(), "--quantize",
                  "q8_0", "--out", (folder_.path() / "a.gguf").string()}),
            0)
      << err_;
  EXPECT_LT(fs::file_size(folder_.path() / "a.gguf"),
            fs::file_size(fs::path(MLOS_SOURCE_DIR) / "tests/models/addition/model-f16.gguf") * 7 / 10);
  EXPECT_NE(Axon({"convert", model.string(), "--quantize", "q99"}), 0);
}

}  // namespace
}  // namespace mlos::axon
