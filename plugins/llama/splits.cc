// SPDX-License-Identifier: Apache-2.0
#include "splits.h"

#include "llama.h"

namespace mlos::llama {
namespace {

constexpr uint64_t kMaxParts = 1000;

std::string PartPath(const std::string& prefix, uint64_t part, uint64_t count) {
  std::string path(prefix.size() + 64, '\0');
  const int32_t size = llama_split_path(path.data(), path.size(), prefix.c_str(), static_cast<int32_t>(part),
                                        static_cast<int32_t>(count));
  path.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return path;
}

}  // namespace

Status ReadHeaders(const std::string& path, std::vector<GgufHeader>* headers) {
  headers->resize(1);
  if (Status status = GgufHeader::ReadFile(path, &headers->front()); !status.ok()) return status;
  const uint64_t count = headers->front().Uint("split.count").value_or(1);
  if (count <= 1) return Ok();
  const uint64_t number = headers->front().Uint("split.no").value_or(0);
  if (number != 0 || count > kMaxParts) {
    return Fail(SMI_INVALID_ARGUMENT, path, " is part ", number + 1, " of a model of ", count,
                " files: the first of them is what to load");
  }
  std::string prefix(path.size() + 1, '\0');
  const int32_t size =
      llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, static_cast<int32_t>(count));
  if (size <= 0) {
    return Fail(SMI_INVALID_ARGUMENT, path, " is the first of ", count,
                " files, but its name does not end in '", PartPath("", 0, count),
                "', so the others cannot be found");
  }
  prefix.resize(static_cast<size_t>(size));
  for (uint64_t part = 1; part < count; ++part) {
    headers->emplace_back();
    if (Status status = GgufHeader::ReadFile(PartPath(prefix, part, count), &headers->back()); !status.ok())
      return status;
  }
  return Ok();
}

}  // namespace mlos::llama
