// SPDX-License-Identifier: Apache-2.0
#include "hub/adapter.h"

#include "hub/huggingface.h"

namespace mlos::hub {

Result<std::unique_ptr<Adapter>> AdapterFor(const package::ModelRef& ref, const Settings& settings) {
  if (ref.namespace_ == "hf") {
    return std::unique_ptr<Adapter>(std::make_unique<HuggingFaceAdapter>(settings, RetryPolicy()));
  }
  return InvalidArgument(
      "'" + ref.namespace_ +
      "' is not a hub. Hubs: hf (Hugging Face, or what HF_ENDPOINT names). Did you mean hf/" +
      ref.namespace_ + "/" + ref.name + "? A folder or file of your own: axon install ./folder --as " +
      ref.namespace_ + "/" + ref.name);
}

bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > 1024) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F || c == '\\') return false;
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace mlos::hub
