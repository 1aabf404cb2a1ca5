// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/to_gguf.h"

#include <algorithm>
#include <cstring>

#include "convert/gguf/decoder.h"
#include "convert/gguf/tensor_data.h"
#include "convert/gguf/vocabulary.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16'000'000;

Result<Config> ReadModelConfig(const fs::path& dir) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(dir / "config.json", kMaxConfigBytes));
  return Config::Parse(json);
}

// What is written, planned.
struct Plan {
  Checkpoint checkpoint;
  DecoderPlan decoder;
  GgufMetadata metadata;
  std::vector<GgufTensorInfo> tensors;
  GgufResult result;
};

Result<GgmlType> TypeOf(const DecoderTensor& tensor, const std::string& wanted) {
  if (tensor.shape.size() < 2 || tensor.source == nullptr) return GgmlType::kF32;
  if (wanted == "f32") return GgmlType::kF32;
  if (wanted == "f16") return GgmlType::kF16;
  if (wanted == "bf16") return GgmlType::kBf16;
  if (wanted != "auto") return InvalidArgument("type '" + wanted + "'; there are auto, f32, f16, bf16");
  switch (tensor.source->entry.dtype) {
    case DType::kFp16:
      return GgmlType::kF16;
    case DType::kBf16:
      return GgmlType::kBf16;
    default:
      return GgmlType::kF32;
  }
}

// llama.cpp's number for what most matrices are.
uint32_t FileType(const std::vector<GgufTensorInfo>& tensors) {
  for (const GgufTensorInfo& tensor : tensors) {
    if (tensor.shape.size() < 2) continue;
    return tensor.type == GgmlType::kF32 ? 0 : tensor.type == GgmlType::kF16 ? 1 : 32;
  }
  return 0;
}

// llama.cpp knows only by the model's name that Phi-3's special tokens swallow the space behind them, and then wants these.
bool NeedsPhi3Name(const DecoderPlan& decoder, const Vocabulary& vocabulary) {
  if (decoder.architecture != "phi3" || !vocabulary.strips_after_special) return false;
  for (const char* token : {"</s>", "<unk>", "<s>", "<|endoftext|>"}) {
    if (!vocabulary.Find(token)) return false;
  }
  return true;
}

std::vector<std::string> Notes(const DecoderPlan& decoder, const Vocabulary& vocabulary) {
  std::vector<std::string> out = decoder.notes;
  out.insert(out.end(), vocabulary.notes.begin(), vocabulary.notes.end());
  return out;
}

Status MakePlan(const fs::path& dir, const GgufOptions& options, Plan* plan) {
  MLOS_ASSIGN_OR_RETURN(const Config config, ReadModelConfig(dir));
  MLOS_ASSIGN_OR_RETURN(const std::string model_type, config.String("model_type", ""));
  if (!IsDecoderModelType(model_type)) MLOS_RETURN_IF_ERROR(PlanDecoder(config, plan->checkpoint).status());
  MLOS_RETURN_IF_ERROR(options.weights.empty() ? plan->checkpoint.Add(dir, "", "")
                                               : plan->checkpoint.AddFile(dir, options.weights, ""));
  MLOS_ASSIGN_OR_RETURN(plan->decoder, PlanDecoder(config, plan->checkpoint));
  MLOS_ASSIGN_OR_RETURN(const Vocabulary vocabulary, ReadVocabulary(dir, config, plan->decoder.vocabulary));

  uint64_t size = 0;
  for (const DecoderTensor& tensor : plan->decoder.tensors) {
    MLOS_ASSIGN_OR_RETURN(const GgmlType type, TypeOf(tensor, options.type));
    plan->tensors.push_back({tensor.name, type, tensor.shape});
    size += plan->tensors.back().size_bytes();
  }
  GgufMetadata& m = plan->metadata;
  m.SetString("general.architecture", plan->decoder.architecture);
  m.SetString("general.type", "model");
  if (NeedsPhi3Name(plan->decoder, vocabulary)) m.SetString("general.name", "phi-3");
  m.SetU32("general.file_type", FileType(plan->tensors));
  m.Append(plan->decoder.metadata);
  AddVocabulary(vocabulary, &m);
  plan->result = {plan->decoder.architecture,
                  vocabulary.model,
                  vocabulary.pre,
                  plan->checkpoint.files(),
                  plan->decoder.used,
                  plan->decoder.ignored,
                  Notes(plan->decoder, vocabulary),
                  plan->decoder.parameters,
                  size,
                  plan->decoder.context_length,
                  !vocabulary.chat_templates.empty()};
  return OkStatus();
}

}  // namespace

bool LooksLikeDecoder(const fs::path& package_dir) {
  const auto config = ReadModelConfig(package_dir);
  if (!config.ok()) return false;
  const auto model_type = config->String("model_type", "");
  return model_type.ok() && IsDecoderModelType(*model_type);
}

Result<GgufResult> ExplainGguf(const fs::path& package_dir, const GgufOptions& options) {
  Plan plan;
  MLOS_RETURN_IF_ERROR(MakePlan(package_dir, options, &plan));
  return std::move(plan.result);
}

Result<GgufResult> ConvertToGguf(const fs::path& package_dir, const fs::path& target,
                                 const GgufOptions& options) {
  Plan plan;
  MLOS_RETURN_IF_ERROR(MakePlan(package_dir, options, &plan));
  uint64_t done = 0;
  const auto data = [&](size_t index, const ByteSink& sink) -> Status {
    MLOS_RETURN_IF_ERROR(
        StreamTensor(plan.checkpoint, plan.decoder.tensors[index], plan.tensors[index].type, sink));
    done += plan.tensors[index].size_bytes();
    if (options.progress) options.progress(done, plan.result.size_bytes);
    return OkStatus();
  };
  MLOS_RETURN_IF_ERROR(WriteGguf(target, plan.metadata, plan.tensors, data));
  return std::move(plan.result);
}

}  // namespace mlos::convert
