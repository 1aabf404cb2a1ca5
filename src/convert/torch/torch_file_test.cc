// SPDX-License-Identifier: Apache-2.0
// PyTorch files: where tensors lie, and what is refused because it lies. Real files of torch are in tests/models/convert/torch-*.
#include "convert/torch/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/torch/testing/torch_writer.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<std::vector<TorchTensor>> Read(const std::string& bytes) {
  return ReadTorchFile(std::as_bytes(std::span(bytes)));
}

const std::string kSixFloats(24, 'f');

PickledTensor Matrix() { return {"weight", "FloatStorage", "0", 6, 0, {2, 3}, {3, 1}}; }

void ExpectRefused(Code code, const std::string& bytes, const std::string& part) {
  const auto tensors = Read(bytes);
  EXPECT_EQ(tensors.status().code(), code) << part;
  EXPECT_THAT(tensors.status().message(), HasSubstr(part));
}

void ExpectRefused(Code code, const PickledTensor& tensor, const std::string& part) {
  ExpectRefused(code, TorchZip(Pickled(PickleDict({tensor})), {kSixFloats}), part);
}

std::string Legacy(const std::string& object, const std::string& keys, const std::string& data) {
  return Pickled(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12)) + Pickled("M\xe9\x03") +
         Pickled("}" + PickleText("little_endian") + "\x88s") + Pickled(object) + Pickled(keys) + data;
}

std::string LegacyStorage(uint64_t elements, const std::string& bytes) {
  std::string out;
  AppendNumber(&out, elements, 8);
  return out + bytes;
}

TEST(TorchFileTest, FindsTensorsInTheFile) {
  const std::string bytes =
      TorchZip(Pickled(PickleDict({Matrix(), {"tail", "FloatStorage", "0", 6, 4, {2}, {1}}})), {kSixFloats});
  const auto tensors = Read(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status().ToString();
  ASSERT_EQ(tensors->size(), 2U);
  const TorchTensor& weight = (*tensors)[0];
  EXPECT_EQ(weight.dtype, DType::kFp32);
  EXPECT_EQ(weight.shape, (Shape{2, 3}));
  EXPECT_THAT(weight.strides, IsEmpty());
  EXPECT_EQ(bytes.substr(weight.offset, weight.size_bytes), kSixFloats);
  EXPECT_EQ((*tensors)[1].offset, weight.offset + 16);
}

TEST(TorchFileTest, TransposedTensorsKeepTheirStrides) {
  PickledTensor transposed = Matrix();
  transposed.shape = {3, 2};
  transposed.strides = {1, 3};
  EXPECT_EQ((*Read(TorchZip(Pickled(PickleDict({transposed})), {kSixFloats})))[0].strides, (Shape{1, 3}));
  PickledTensor column = Matrix();  // strides of dimensions of size 1 say nothing
  column.shape = {6, 1};
  column.strides = {1, 77};
  EXPECT_THAT((*Read(TorchZip(Pickled(PickleDict({column})), {kSixFloats})))[0].strides, IsEmpty());
}

TEST(TorchFileTest, FindsTheStateDictInItsWrappers) {
  PickledTensor tensor = Matrix();
  tensor.name = "module.weight";
  const std::string dict = PickleDict({tensor});
  for (const std::string& object :
       {dict, "}" + PickleText("epoch") + "K\x03s" + PickleText("state_dict") + dict + "s",
        "}" + PickleText("model") + "}" + PickleText("model_state_dict") + dict + "ss"}) {
    const auto tensors = Read(TorchZip(Pickled(object), {kSixFloats}));
    ASSERT_TRUE(tensors.ok()) << tensors.status().ToString();
    EXPECT_EQ(tensors->front().name, "weight");
  }
  ExpectRefused(Code::kUnimplemented, TorchZip(Pickled("}" + PickleText("a") + "K\x01s"), {}),
                "no state dict");
}

TEST(TorchFileTest, ViewsBeyondTheirStorageAreRefused) {
  PickledTensor tensor = Matrix();
  tensor.shape = {3, 3};
  ExpectRefused(Code::kDataLoss, tensor, "beyond its storage");
  tensor = Matrix();
  tensor.offset = 1;
  ExpectRefused(Code::kDataLoss, tensor, "beyond its storage");
  tensor = Matrix();
  tensor.strides = {INT64_MAX, 1};
  ExpectRefused(Code::kDataLoss, tensor, "beyond its storage");
  tensor = Matrix();
  tensor.offset = INT64_MAX;
  ExpectRefused(Code::kDataLoss, tensor, "beyond its storage");
  tensor = Matrix();
  tensor.offset = -1;
  ExpectRefused(Code::kDataLoss, tensor, "begins nowhere");
  tensor = Matrix();
  tensor.shape = {-2, 3};
  ExpectRefused(Code::kDataLoss, tensor, "no size");
  tensor = Matrix();
  tensor.strides = {-3, 1};
  ExpectRefused(Code::kDataLoss, tensor, "no size");
  tensor = Matrix();
  tensor.strides = {1};
  ExpectRefused(Code::kDataLoss, tensor, "strides");
  tensor = Matrix();
  tensor.shape = {int64_t{1} << 40, int64_t{1} << 40};
  ExpectRefused(Code::kDataLoss, tensor, "weight");
}

TEST(TorchFileTest, AStrideOfZeroMakesNoTerabyte) {
  PickledTensor tensor = Matrix();
  tensor.shape = {int64_t{1} << 38};
  tensor.strides = {0};
  ExpectRefused(Code::kTooLarge, tensor, "strided tensors");
  tensor.shape = {1000};
  EXPECT_TRUE(Read(TorchZip(Pickled(PickleDict({tensor})), {kSixFloats})).ok());
}

TEST(TorchFileTest, StoragesThatAreMissingOrOfAnotherSizeAreRefused) {
  PickledTensor tensor = Matrix();
  tensor.key = "7";
  ExpectRefused(Code::kDataLoss, tensor, "'7'");
  ExpectRefused(Code::kDataLoss, TorchZip(Pickled(PickleDict({Matrix()})), {kSixFloats.substr(1)}),
                "23 bytes");
  tensor = Matrix();
  tensor.storage_elements = INT64_MAX;
  ExpectRefused(Code::kDataLoss, tensor, "elements");
}

TEST(TorchFileTest, OtherByteOrdersCompressionAndTypesAreRefused) {
  const std::string pickle = Pickled(PickleDict({Matrix()}));
  ExpectRefused(Code::kUnimplemented, TorchZip(pickle, {kSixFloats}, "big"), "big-endian");
  PickledTensor tensor = Matrix();
  tensor.storage_type = "QInt8Storage";
  ExpectRefused(Code::kUnimplemented, tensor, "torch.QInt8Storage");
  ZipToWrite zip = {{{"m/data.pkl", pickle}, {"m/data/0", kSixFloats}}};
  zip.entries[1].method = 8;
  ExpectRefused(Code::kUnimplemented, ZipBytes(zip), "compressed");
  ExpectRefused(Code::kDataLoss, ZipBytes({{{"readme", "x"}}}), "no data.pkl");
  ExpectRefused(Code::kDataLoss, ZipBytes({{{"a/data.pkl", pickle}, {"b/data.pkl", pickle}}}),
                "two checkpoints");
  ExpectRefused(Code::kDataLoss, TorchZip(pickle + "x", {kSixFloats}), "behind its end");
}

TEST(TorchFileTest, AnAttackIsReportedAsOne) {
  const std::string attack =
      "\x80\x02}" + PickleText("weight") + "cos\nsystem\n(" + PickleText("echo") + "tRs.";
  ExpectRefused(Code::kPermissionDenied, TorchZip(attack, {}), "'os.system'");
}

TEST(TorchFileTest, LegacyFilesAreReadByTheirList) {
  const std::string object = PickleDict({Matrix(), {"bias", "HalfStorage", "1", 3, 0, {3}, {1}}});
  const std::string keys = "(" + PickleText("0") + PickleText("1") + "l";
  const std::string data = LegacyStorage(6, kSixFloats) + LegacyStorage(3, "abcdef");
  const std::string bytes = Legacy(object, keys, data);
  ASSERT_TRUE(LooksLikeTorchFile(std::as_bytes(std::span(bytes))));
  const auto tensors = Read(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status().ToString();
  EXPECT_EQ(bytes.substr((*tensors)[0].offset, 24), kSixFloats);
  EXPECT_EQ(bytes.substr((*tensors)[1].offset, 6), "abcdef");
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(Read(bytes.substr(0, size)).ok()) << size;
  ExpectRefused(Code::kDataLoss, bytes + "x", "belong to no storage");
  ExpectRefused(Code::kDataLoss, Legacy(object, "(" + PickleText("0") + "l", LegacyStorage(6, kSixFloats)),
                "'1'");
  ExpectRefused(Code::kDataLoss,
                Legacy(object, keys, LegacyStorage(5, kSixFloats) + LegacyStorage(3, "abcdef")), "two sizes");
  const std::string twice = "(" + PickleText("0") + PickleText("0") + "l";
  ExpectRefused(Code::kDataLoss,
                Legacy(object, twice, LegacyStorage(6, kSixFloats) + LegacyStorage(6, kSixFloats)), "twice");
}

TEST(TorchFileTest, OtherPicklesAndTarFilesAreNone) {
  ExpectRefused(Code::kUnimplemented, Pickled("}"), "none of torch.save");
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  ExpectRefused(Code::kUnimplemented, tar, "tar files");
  ExpectRefused(Code::kDataLoss, "", "pickle");
}

}  // namespace
}  // namespace mlos::convert
