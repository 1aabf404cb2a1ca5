// SPDX-License-Identifier: Apache-2.0
// A hub's listings: no accepted file name leaves the package, every digest has its length; what is chosen was listed.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hub/huggingface.h"
#include "hub/select.h"
#include "package/digest.h"

namespace {

void Check(const std::vector<mlos::hub::RemoteFile>& files) {
  for (const mlos::hub::RemoteFile& file : files) {
    if (!mlos::hub::IsSafePath(file.path)) std::abort();
    if (!file.sha256.empty() && !mlos::package::IsSha256Hex(file.sha256)) std::abort();
    if (!file.git_sha1.empty() && !mlos::hub::IsCommit(file.git_sha1)) std::abort();
  }
  const auto selection = mlos::hub::SelectFiles(files, {});
  if (selection.ok() && (selection->files.size() > files.size() || selection->weights.empty())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bool complete = false;
  const auto repository = mlos::hub::ParseModelInfo(text, &complete);
  if (repository.ok()) {
    if (!mlos::hub::IsCommit(repository->commit)) std::abort();
    Check(repository->files);
  }
  const auto tree = mlos::hub::ParseTree(text);
  if (tree.ok()) Check(*tree);
  (void)mlos::hub::NextPage(text);
  return 0;
}
