// SPDX-License-Identifier: Apache-2.0
#include "package/format.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <map>
#include <set>

#include "os/directory.h"
#include "os/file.h"
#include "package/zip_directory.h"

namespace mlos::package {
namespace {

const std::filesystem::path kModels = std::filesystem::path(MLOS_SOURCE_DIR) / "tests/models";

std::string Load(const std::string& file) {
  auto contents = os::ReadFile(kModels / file, 100'000'000);
  EXPECT_TRUE(contents.ok()) << contents.status().message();
  return contents.value_or("");
}

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

ModelFileInfo Inspect(const std::string& file) {
  auto info = InspectModelFile(kModels / file);
  EXPECT_TRUE(info.ok()) << info.status().message();
  return info.value_or({});
}

TEST(FormatTest, NamesPromiseFormats) {
  const std::map<std::string, FileFormat> names = {
      {"a/model.onnx", FileFormat::kOnnx},
      {"M.GGUF", FileFormat::kGguf},
      {"m.safetensors", FileFormat::kSafetensors},
      {"m.pt", FileFormat::kPytorchZip},
      {"pytorch_model-00001-of-00002.bin", FileFormat::kPytorchZip},
      {"m.h5", FileFormat::kHdf5},
      {"m.tflite", FileFormat::kTflite},
      {"x/saved_model.pb", FileFormat::kSavedModel},
      {"weights.bin", FileFormat::kUnknown},
      {".onnx", FileFormat::kUnknown},
      {"config.json", FileFormat::kUnknown},
      {"model.onnx_data", FileFormat::kUnknown},
      {"m.pkl", FileFormat::kPickle},
      {"m.zip", FileFormat::kZip}};
  for (const auto& [name, format] : names) EXPECT_EQ(FormatFromName(name), format) << name;
}

TEST(FormatTest, FixturesAreWhatTheyAre) {
  const std::map<std::string, FileFormat> files = {{"digits/model.onnx", FileFormat::kOnnx},
                                                   {"onnx/external/model.onnx", FileFormat::kOnnx},
                                                   {"onnx/sequence.onnx", FileFormat::kOnnx},
                                                   {"digits/model.safetensors", FileFormat::kSafetensors},
                                                   {"tiny-bert/model.safetensors", FileFormat::kSafetensors},
                                                   {"digits/model.pt", FileFormat::kPytorchZip},
                                                   {"addition/model-f16.gguf", FileFormat::kGguf},
                                                   {"embedding/model-f32.gguf", FileFormat::kGguf},
                                                   {"tiny-bert/config.json", FileFormat::kUnknown},
                                                   {"onnx/external/weights.bin", FileFormat::kUnknown}};
  for (const auto& [file, format] : files) {
    const auto detected = DetectFormat(kModels / file);
    ASSERT_TRUE(detected.ok()) << file << ": " << detected.status().message();
    EXPECT_EQ(*detected, format) << file;
  }
}

TEST(FormatTest, TheBytesDecideWhereTheNameSaysNothing) {
  for (const char* file :
       {"digits/model.onnx", "digits/model.safetensors", "digits/model.pt", "addition/model-q8_0.gguf"}) {
    const std::string contents = Load(file);
    EXPECT_EQ(*DetectFormat(Bytes(contents), "weights.bin"), FormatFromName(file)) << file;
  }
}

TEST(FormatTest, ANameThatLiesIsDataLossAndBothAreSaid) {
  const std::string gguf = Load("addition/model-q8_0.gguf");
  const Status status = DetectFormat(Bytes(gguf), "model.onnx").status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_EQ(status.message(), "'model.onnx' is named as onnx, but its bytes are gguf");
}

TEST(FormatTest, KnowsTheSmallMagics) {
  using namespace std::string_literals;
  EXPECT_EQ(*DetectFormat(Bytes("\x1c\0\0\0TFL3"s + std::string(56, '\0')), "x"), FileFormat::kTflite);
  EXPECT_EQ(*DetectFormat(Bytes("\x80\x02}q\0."s), "x"), FileFormat::kPickle);
  EXPECT_EQ(*DetectFormat(Bytes("\x80\x02}q\0."s), "x.pt"), FileFormat::kPickle);
  EXPECT_EQ(*DetectFormat(Bytes("\x08\x01\x12\x00"s), "saved_model.pb"), FileFormat::kSavedModel);
  EXPECT_EQ(*DetectFormat(Bytes("\x89HDF\r\n\x1a\n"s + std::string(88, '\0')), "x.h5"), FileFormat::kHdf5);
}

TEST(FormatTest, SaysWhatAWrongFileProbablyIs) {
  const std::map<std::string, std::string> cases = {
      {"version https://git-lfs.example/spec/v1\noid sha256:0\n", "Git LFS pointer"},
      {"<!DOCTYPE html><html>404</html>", "web page"},
      {"", "is empty"},
      {"{\"error\": \"gated\"}", "JSON"},
      {std::string(100, '\0'), "zeros"}};
  for (const auto& [contents, hint] : cases) {
    for (const char* name : {"m.onnx", "m.gguf", "m.safetensors", "m.pt"}) {
      const Status status = DetectFormat(Bytes(contents), name).status();
      EXPECT_EQ(status.code(), Code::kDataLoss) << name;
      EXPECT_NE(status.message().find(hint), std::string::npos) << status.message();
    }
  }
}

// A download that stopped is never taken for a model, wherever it stopped.
TEST(FormatTest, EveryTruncationIsSeen) {
  for (const char* file : {"digits/model.onnx", "onnx/two_inputs.onnx", "digits/model.safetensors",
                           "digits/model.pt", "addition/model-q8_0.gguf", "embedding/model-f32.gguf"}) {
    const std::string whole = Load(file);
    const size_t step = whole.size() / 500 + 1;
    for (size_t size = 0; size < whole.size(); size += step) {
      const std::string cut = whole.substr(0, size);
      EXPECT_EQ(DetectFormat(Bytes(cut), file).status().code(), Code::kDataLoss)
          << file << " cut to " << size << " of " << whole.size();
    }
    // GGUF pads its last tensor with up to 31 bytes that nobody reads.
    const std::string cut =
        whole.substr(0, whole.size() - (std::string_view(file).ends_with(".gguf") ? 32 : 1));
    EXPECT_EQ(InspectModel(Bytes(cut), file).status().code(), Code::kDataLoss) << file;
  }
}

TEST(FormatTest, AFolderIsASavedModelOrAnError) {
  const os::TemporaryDirectory temporary;
  EXPECT_EQ(DetectFormat(temporary.path()).status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(
      os::WriteFile(temporary.path() / "saved_model.pb", std::string_view("\x08\x01\x12\x00", 4)).ok());
  EXPECT_EQ(*DetectFormat(temporary.path()), FileFormat::kSavedModel);
  EXPECT_EQ(DetectFormat(temporary.path() / "none").status().code(), Code::kNotFound);
}

TEST(InspectTest, OnnxDeclaresEveryElementType) {
  const std::map<std::string, DType> types = {
      {"bool", DType::kBool},     {"int8", DType::kInt8},     {"int16", DType::kInt16},
      {"int32", DType::kInt32},   {"int64", DType::kInt64},   {"uint8", DType::kUint8},
      {"uint16", DType::kUint16}, {"uint32", DType::kUint32}, {"uint64", DType::kUint64},
      {"float16", DType::kFp16},  {"bfloat16", DType::kBf16}, {"float32", DType::kFp32},
      {"float64", DType::kFp64},  {"string", DType::kBytes}};
  for (const auto& [name, dtype] : types) {
    const ModelFileInfo info = Inspect("onnx/identity_" + name + ".onnx");
    ASSERT_EQ(info.inputs.size(), 1u) << name;
    EXPECT_EQ(info.inputs[0].dtype, dtype) << name;
    EXPECT_EQ(info.outputs[0].dtype, dtype) << name;
    EXPECT_EQ(info.inputs[0].shape, (Shape{-1, 3})) << name;
  }
}

TEST(InspectTest, OnnxShapesAndSymbolicNames) {
  const ModelFileInfo info = Inspect("onnx/sequence.onnx");
  ASSERT_EQ(info.inputs.size(), 3u);
  EXPECT_EQ(SpecToString(info.inputs[0]), "INT64 [batch, sequence]");
  EXPECT_EQ(info.inputs[1].name, "attention_mask");
  EXPECT_EQ(SpecToString(info.outputs[0]), "FP32 [batch, sequence, 4]");
  EXPECT_EQ(Inspect("onnx/identity_rank0.onnx").inputs[0].shape, Shape{});
  EXPECT_EQ(Inspect("onnx/identity_rank5.onnx").inputs[0].shape.size(), 5u);
}

TEST(InspectTest, OnnxInitializersAreNoInputs) {
  const ModelFileInfo info = Inspect("onnx/optional_input.onnx");
  ASSERT_EQ(info.inputs.size(), 1u);
  EXPECT_EQ(info.inputs[0].name, "x");
  EXPECT_EQ(Inspect("onnx/two_inputs.onnx").outputs.size(), 2u);
  EXPECT_GT(Inspect("digits/model.onnx").parameter_count, 1000u);
}

TEST(InspectTest, OnnxExternalFilesAreNamedWithTheBytesTheyMustHave) {
  const ModelFileInfo info = Inspect("onnx/external/model.onnx");
  EXPECT_EQ(info.external_files, std::vector<std::string>{"weights.bin"});
  ASSERT_EQ(info.external_min_bytes.size(), 1u);
  EXPECT_GT(info.external_min_bytes[0], 0u);
  EXPECT_LE(info.external_min_bytes[0], std::filesystem::file_size(kModels / "onnx/external/weights.bin"));
}

TEST(InspectTest, OnnxExternalDataOutsideTheFolderIsRefused) {
  std::string model = Load("onnx/external/model.onnx");
  for (const std::string& location :
       {std::string("/etc/passwd"), std::string("../weight"), std::string("a\\eight.bin")}) {
    std::string bad = model;
    size_t at = 0;
    while ((at = bad.find("weights.bin", at)) != std::string::npos)
      bad.replace(at, 11, (location + "/////////////").substr(0, 11));
    const Status status = InspectModel(Bytes(bad), "model.onnx").status();
    EXPECT_EQ(status.code(), Code::kDataLoss) << location;
    EXPECT_NE(status.message().find("external data of tensor"), std::string::npos) << status.message();
  }
}

TEST(InspectTest, GgufOfALanguageModel) {
  const ModelFileInfo info = Inspect("addition/model-f16.gguf");
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_TRUE(info.inputs.empty());
  EXPECT_FALSE(info.is_embedding_model);
  EXPECT_TRUE(info.has_chat_template);
  EXPECT_GT(info.context_length, 0u);
  EXPECT_NEAR(static_cast<double>(info.parameter_count), 243'000, 1'000);
  EXPECT_EQ(Inspect("addition/model-q8_0.gguf").parameter_count, info.parameter_count);
}

TEST(InspectTest, GgufOfAnEmbeddingModel) {
  const ModelFileInfo info = Inspect("embedding/model-f32.gguf");
  EXPECT_EQ(info.architecture, "bert");
  EXPECT_TRUE(info.is_embedding_model);
  ASSERT_EQ(info.outputs.size(), 1u);
  EXPECT_EQ(info.outputs[0].name, "embedding");
  EXPECT_EQ(info.outputs[0].shape, (Shape{-1, info.embedding_length}));
}

TEST(InspectTest, SafetensorsCountsParameters) {
  EXPECT_GT(Inspect("digits/model.safetensors").parameter_count, 1000u);
}

// Graphs inside attributes inside graphs, deeper than any stack: length-delimited fields built from the
// inside out.
TEST(InspectTest, DeeplyNestedOnnxGraphsAreRefused) {
  const auto field = [](char key, const std::string& body) {
    std::string length;
    for (size_t n = body.size();; n >>= 7) {
      length += static_cast<char>((n & 0x7F) | (n > 0x7F ? 0x80 : 0));
      if (n <= 0x7F) break;
    }
    return key + length + body;
  };
  std::string graph;
  for (int i = 0; i < 2000; ++i) graph = field('\x0a', field('\x2a', field('\x32', graph)));
  const std::string model = std::string("\x08\x08", 2) + field('\x3a', graph) + field('\x42', "");
  const Status status = InspectModel(Bytes(model), "m.onnx").status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("nested"), std::string::npos) << status.message();
}

TEST(ZipDirectoryTest, ListsTheEntries) {
  const std::string torch = Load("digits/model.pt");
  const auto names = ReadZipDirectory(Bytes(torch));
  ASSERT_TRUE(names.ok()) << names.status().message();
  EXPECT_GT(names->size(), 3u);
  std::string broken = torch;
  broken[broken.rfind("PK\x01\x02")] = 'X';
  EXPECT_EQ(ReadZipDirectory(Bytes(broken)).status().code(), Code::kDataLoss);
}

// The truncated, mislabelled, lying and hostile files of tests/models/make/corrupt.py.
TEST(CorruptFilesTest, EachIsRefusedOrToldApartAndNoneIsExecuted) {
  const os::TemporaryDirectory temporary;
  const std::string script = (kModels / "make/corrupt.py").string();
  const std::string command = "cd '" + temporary.path().string() + "' && python3 '" + script + "' '" +
                              temporary.path().string() + "' > /dev/null";
  if (std::system(command.c_str()) != 0) GTEST_SKIP() << "needs python3";
  // What is whole as far as a detector is concerned: archives and pickles are judged by those who read them.
  const std::map<std::string, FileFormat> whole = {
      {"zeros.bin", FileFormat::kUnknown},
      {"saved_model/variables/variables.index", FileFormat::kUnknown},
      {"bomb.pt", FileFormat::kPytorchZip},
      {"lying_size.pt", FileFormat::kPytorchZip},
      {"traversal.pt", FileFormat::kPytorchZip},
      {"hostile_zip.pt", FileFormat::kPytorchZip},
      {"hostile.pkl", FileFormat::kPickle},
      {"plain.zip", FileFormat::kZip},
      {"old.pt", FileFormat::kPickle},
      {"model.h5", FileFormat::kHdf5},
      {"model.tflite", FileFormat::kTflite},
      {"saved_model/saved_model.pb", FileFormat::kSavedModel},
      {"unknown_architecture.gguf", FileFormat::kGguf}};
  simdjson::dom::parser parser;
  simdjson::dom::array files;
  ASSERT_EQ(parser.load((temporary.path() / "index.json").string())["files"].get(files), simdjson::SUCCESS);
  size_t refused = 0;
  for (const simdjson::dom::element entry : files) {
    const std::string name{std::string_view(entry["file"])};
    const std::string wrong{std::string_view(entry["wrong"])};
    const auto format = DetectFormat(temporary.path() / name);
    const auto info = InspectModelFile(temporary.path() / name);
    const auto expected = whole.find(name);
    if (expected != whole.end()) {
      EXPECT_EQ(format.ok() ? FileFormatName(*format) : format.status().message(),
                FileFormatName(expected->second))
          << name;
      continue;
    }
    ++refused;
    EXPECT_FALSE(info.ok()) << name << ": " << wrong;
    EXPECT_TRUE(info.ok() || info.status().code() == Code::kDataLoss ||
                info.status().code() == Code::kUnimplemented)
        << name << ": " << info.status().ToString();
    EXPECT_NE(info.status().message().find(name), std::string::npos) << info.status().message();
  }
  EXPECT_GT(refused, 40u);
  EXPECT_FALSE(os::Exists(temporary.path() / "MLOS_PICKLE_WAS_EXECUTED"));
}

}  // namespace
}  // namespace mlos::package
