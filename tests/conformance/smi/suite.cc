// SPDX-License-Identifier: Apache-2.0
#include "suite.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

namespace smi_test {

std::string Ones(smi_dtype dtype, uint64_t count) {
  std::string one;
  switch (dtype) {
    case SMI_BYTES:
      one = std::string("\1\0\0\0a", 5);
      break;
    case SMI_FP16:
      one = std::string("\x00\x3C", 2);
      break;
    case SMI_BF16:
      one = std::string("\x80\x3F", 2);
      break;
    case SMI_FP32:
      one = std::string("\0\0\x80\x3F", 4);
      break;
    case SMI_FP64:
      one = std::string("\0\0\0\0\0\0\xF0\x3F", 8);
      break;
    default:
      one.assign(smi_dtype_size(dtype), '\0');
      one[0] = 1;
  }
  std::string out;
  for (uint64_t i = 0; i < count; ++i) out += one;
  return out;
}

std::vector<Tensor> FittingInputs(const Model& model) {
  std::vector<Tensor> out;
  for (uint32_t i = 0; i < model.info().n_inputs; ++i) {
    const smi_tensor_spec& spec = model.input(i);
    if (spec.flags & SMI_SPEC_OPTIONAL) continue;
    Tensor tensor{
        std::string(spec.name.data, spec.name.size), spec.dtype, {spec.shape, spec.shape + spec.rank}, ""};
    for (int64_t& dim : tensor.shape) dim = dim < 0 ? 2 : dim;
    uint64_t count = 0;
    EXPECT_TRUE(smi_element_count(tensor.shape.data(), spec.rank, &count));
    tensor.bytes = Ones(spec.dtype, count);
    out.push_back(std::move(tensor));
  }
  return out;
}

bool SameOutputs(const Outcome& a, const Outcome& b) {
  if (a.outputs.size() != b.outputs.size()) return false;
  return std::all_of(a.outputs.begin(), a.outputs.end(), [&](const Tensor& t) {
    const Tensor* other = b.Find(t.name);
    return other != nullptr && other->dtype == t.dtype && other->shape == t.shape && other->bytes == t.bytes;
  });
}

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "smi_conformance_XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TemporaryFolder::Write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path_ / name, std::ios::binary) << bytes;
  return path_ / name;
}

std::string ReadWhole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace smi_test
