// SPDX-License-Identifier: Apache-2.0
#include "convert/architectures.h"

#include <algorithm>
#include <array>

namespace mlos::convert {
namespace {

constexpr std::array kArchitectures = {
    // Text encoders.
    &kBert, &kRoberta, &kXlmRoberta, &kCamembert, &kDistilBert, &kMpnet, &kAlbert, &kElectra, &kDeberta,
    &kDebertaV2, &kSqueezeBert, &kXlnet,
    // Generative models.
    &kGpt2, &kT5, &kMt5, &kBart, &kMbart,
    // Audio.
    &kWhisper, &kWav2Vec2, &kHubert,
    // Images.
    &kVit, &kDeit, &kResNet, &kConvNext, &kDinov2, &kBeit, &kSwin, &kLevit, &kSegformer, &kDetr,
    &kMobileNetV2, &kEfficientNet, &kRegNet, &kPoolFormer,
    // State dicts without config.json.
    &kTorchvisionResNet, &kTorchvisionDenseNet,
    // Images and text.
    &kClip, &kClipText, &kClipVision};

constexpr std::array kHeads = {Head::kEncoder,
                               Head::kMaskedLm,
                               Head::kSequenceClassification,
                               Head::kTokenClassification,
                               Head::kQuestionAnswering,
                               Head::kMultipleChoice,
                               Head::kNextSentence,
                               Head::kCausalLm,
                               Head::kSeq2SeqLm,
                               Head::kReplacedTokens,
                               Head::kSpeechRecognition,
                               Head::kAudioClassification,
                               Head::kAudioFrames,
                               Head::kImageClassification,
                               Head::kZeroShotImage,
                               Head::kImageFeatures,
                               Head::kTextFeatures,
                               Head::kMaskedImage,
                               Head::kSemanticSegmentation,
                               Head::kObjectDetection,
                               Head::kImageSegmentation};

}  // namespace

std::string_view TaskName(Head head) {
  switch (head) {
    case Head::kEncoder:
      return "feature-extraction";
    case Head::kMaskedLm:
      return "fill-mask";
    case Head::kSequenceClassification:
      return "text-classification";
    case Head::kTokenClassification:
      return "token-classification";
    case Head::kQuestionAnswering:
      return "question-answering";
    case Head::kMultipleChoice:
      return "multiple-choice";
    case Head::kNextSentence:
      return "next-sentence-prediction";
    case Head::kCausalLm:
      return "text-generation";
    case Head::kSeq2SeqLm:
      return "text2text-generation";
    case Head::kSpeechRecognition:
      return "automatic-speech-recognition";
    case Head::kAudioClassification:
      return "audio-classification";
    case Head::kAudioFrames:
      return "audio-frame-classification";
    case Head::kReplacedTokens:
      return "replaced-token-detection";
    case Head::kImageClassification:
      return "image-classification";
    case Head::kZeroShotImage:
      return "zero-shot-image-classification";
    case Head::kImageFeatures:
      return "image-feature-extraction";
    case Head::kTextFeatures:
      return "text-feature-extraction";
    case Head::kMaskedImage:
      return "masked-im";
    case Head::kSemanticSegmentation:
      return "semantic-segmentation";
    case Head::kObjectDetection:
      return "object-detection";
    case Head::kImageSegmentation:
      return "image-segmentation";
  }
  return "";
}

std::span<const Architecture* const> Architectures() { return kArchitectures; }

std::vector<std::string_view> TasksOf(const Architecture& architecture) {
  std::vector<std::string_view> tasks;
  for (const auto& [class_name, head] : architecture.classes) {
    if (std::find(tasks.begin(), tasks.end(), TaskName(head)) == tasks.end()) tasks.push_back(TaskName(head));
  }
  return tasks;
}

Result<const Architecture*> FindArchitecture(std::string_view model_type) {
  std::string known;
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->name == model_type) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture->name);
  }
  return Unimplemented("config.json: 'model_type' is \"" + std::string(model_type) +
                       "\"; native conversion knows: " + known);
}

Result<const Architecture*> FindArchitectureByTensors(const Checkpoint& checkpoint) {
  std::string known;
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->recognises == nullptr) continue;
    if (architecture->recognises(checkpoint)) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture->name);
  }
  const std::string example =
      checkpoint.tensors().empty() ? "" : " ('" + checkpoint.tensors().begin()->first + "' ...)";
  return Unimplemented("there is no config.json, and the names of the tensors" + example +
                       " are those of no architecture that can be told without; such are: " +
                       (known.empty() ? "none" : known));
}

Result<Head> ChooseHead(const Architecture& architecture, const std::vector<std::string>& class_names,
                        std::string_view task) {
  if (!task.empty()) {
    if (task == "sentence-similarity") return Head::kEncoder;
    std::string known;
    for (const Head head : kHeads) {
      if (TaskName(head) == task) return head;
      known += (known.empty() ? "" : ", ") + std::string(TaskName(head));
    }
    return Unimplemented("task '" + std::string(task) + "' is not supported for " +
                         std::string(architecture.name) + "; supported: " + known);
  }
  if (class_names.empty()) return Head::kEncoder;
  std::string known;
  for (const auto& [class_name, head] : architecture.classes) {
    if (class_name == class_names.front()) return head;
    known += (known.empty() ? "" : ", ") + std::string(class_name);
  }
  return Unimplemented("config.json: 'architectures' names " + class_names.front() + "; supported: " + known);
}

}  // namespace mlos::convert
