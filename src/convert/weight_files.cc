// SPDX-License-Identifier: Apache-2.0
#include "convert/weight_files.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

constexpr std::array<std::string_view, 9> kNotWeights = {"training_args", "optimizer", "scheduler",
                                                         "rng_state",     "adapter_",  "golden",
                                                         "scaler",        "events",    "trainer_state"};

bool IsCandidate(std::string_view name, std::span<const std::string_view> suffixes) {
  if (std::any_of(kNotWeights.begin(), kNotWeights.end(),
                  [&](std::string_view p) { return name.starts_with(p); }))
    return false;
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view s) { return IsPlainFileName(name, s); });
}

}  // namespace

bool IsPlainFileName(std::string_view name, std::string_view suffix) {
  if (name.size() <= suffix.size() || name.size() > 255 || !name.ends_with(suffix) || name.front() == '.')
    return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || c == '/' || c == '\\';
  });
}

Result<WeightFiles> FindWeightFiles(const std::filesystem::path& folder) {
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    const std::string index = std::string(name) + ".index.json";
    if (os::Exists(folder / name)) return WeightFiles{{name}, ""};
    if (os::Exists(folder / index)) return WeightFiles{{}, index};
  }
  constexpr std::array<std::string_view, 1> kSafetensors = {".safetensors"};
  constexpr std::array<std::string_view, 4> kTorch = {".bin", ".pt", ".pth", ".ckpt"};
  const auto names = os::ListDirectory(folder);
  if (!names.ok()) return names.status();
  for (const std::span<const std::string_view> suffixes :
       {std::span<const std::string_view>(kSafetensors), std::span<const std::string_view>(kTorch)}) {
    std::vector<std::string> found;
    for (const std::string& name : *names) {
      if (IsCandidate(name, suffixes)) found.push_back(name);
    }
    if (found.size() == 1) return WeightFiles{found, ""};
    if (found.empty()) continue;
    std::string all;
    for (const std::string& name : found) all += (all.empty() ? "" : ", ") + name;
    return FailedPrecondition("several files may be the weights: " + all + "; leave one, or name it");
  }
  return NotFound(
      "no weights in " + folder.string() +
      " (looked for model.safetensors, pytorch_model.bin, their indexes, and a single *.safetensors, *.bin, "
      "*.pt, *.pth or *.ckpt)");
}

}  // namespace mlos::convert
