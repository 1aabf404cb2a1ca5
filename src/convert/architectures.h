// SPDX-License-Identifier: Apache-2.0
// The architectures Convert knows: one builder each, in a file of its own. To add one, write its file and add a line to the
// table in architectures.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "convert/checkpoint.h"
#include "convert/config.h"
#include "convert/graph.h"

namespace mlos::convert {

// What the graph shall answer.
enum class Head {
  kEncoder,                 // feature-extraction: hidden states
  kMaskedLm,                // fill-mask
  kSequenceClassification,  // text-classification
  kTokenClassification,     // token-classification
  kQuestionAnswering,       // question-answering
  kMultipleChoice,          // multiple-choice: which of several texts
  kNextSentence,            // next-sentence-prediction: does the second text follow the first
  kCausalLm,                // text-generation: next tokens, with key/value cache
  kSeq2SeqLm,               // text2text-generation: encoder, decoder, decoder with past
  kReplacedTokens,          // replaced-token-detection: ELECTRA's discriminator
  kImageClassification,     // image-classification
  kZeroShotImage,           // zero-shot-image-classification: pictures against texts
  kImageFeatures,           // image-feature-extraction: the picture's side of a joint model
  kTextFeatures,            // text-feature-extraction: the text's side
  kMaskedImage,             // masked-im
  kSemanticSegmentation,    // semantic-segmentation
  kObjectDetection,         // object-detection
  kImageSegmentation,       // image-segmentation: masks of objects
  kSpeechRecognition,       // automatic-speech-recognition: text of a recording, or scores of each frame
  kAudioClassification,     // audio-classification
  kAudioFrames,             // audio-frame-classification: labels of each frame
};
std::string_view TaskName(Head head);

// Token embeddings of an encoder, for what comes after it (pooling).
struct EncoderOutput {
  Value tokens;          // FP32 [batch, sequence, width]
  Value attention_mask;  // INT64 [batch, sequence]
  int64_t width = 0;
};

struct BuildContext {
  const Config& config;
  Head head = Head::kEncoder;
  // True: declare inputs, build the encoder and return it in `encoder`, declare no outputs.
  bool encoder_only = false;
};

struct BuildResult {
  EncoderOutput encoder;
  std::vector<IgnoreRule> ignore;
  uint32_t max_length = 0;
};

struct Architecture {
  std::string_view name;  // "bert": what `model_type` says
  // Class names of config.json's `architectures` and the head each means.
  struct ClassHead {
    std::string_view class_name;
    Head head;
  };
  std::span<const ClassHead> classes;
  // Fills the builder. Errors of the config are returned, those of tensors stick in the builder.
  Result<BuildResult> (*build)(GraphBuilder& g, const BuildContext& context);
  // For checkpoints that come without config.json (torchvision's state dicts, TorchScript archives): true when names and shapes
  // of the tensors can only be this architecture's. Null when it cannot be told. The builder then gets an empty config and,
  // unless a task is asked for, the head of the first class.
  bool (*recognises)(const Checkpoint& checkpoint) = nullptr;
};

// All, in the order of the table.
std::span<const Architecture* const> Architectures();
// The tasks its classes ask for, each once.
std::vector<std::string_view> TasksOf(const Architecture& architecture);
// kUnimplemented, naming the known ones, when `model_type` is none of them.
Result<const Architecture*> FindArchitecture(std::string_view model_type);
// The one that recognises the tensors of a checkpoint without config.json; kUnimplemented when none does.
Result<const Architecture*> FindArchitectureByTensors(const Checkpoint& checkpoint);
// The head that `task` (or, when empty, the class in `architectures`) asks for.
Result<Head> ChooseHead(const Architecture& architecture, const std::vector<std::string>& class_names,
                        std::string_view task);

// One per file.
extern const Architecture kBert;
extern const Architecture kRoberta;
extern const Architecture kXlmRoberta;
extern const Architecture kCamembert;
extern const Architecture kDistilBert;
extern const Architecture kMpnet;
extern const Architecture kAlbert;
extern const Architecture kElectra;
extern const Architecture kDeberta;
extern const Architecture kDebertaV2;
extern const Architecture kSqueezeBert;
extern const Architecture kXlnet;
extern const Architecture kGpt2;
extern const Architecture kT5;
extern const Architecture kMt5;
extern const Architecture kBart;
extern const Architecture kMbart;
extern const Architecture kWhisper;
extern const Architecture kWav2Vec2;
extern const Architecture kHubert;
extern const Architecture kVit;
extern const Architecture kDeit;
extern const Architecture kResNet;
extern const Architecture kConvNext;
extern const Architecture kClip;
extern const Architecture kClipText;
extern const Architecture kClipVision;
extern const Architecture kDinov2;
extern const Architecture kBeit;
extern const Architecture kSwin;
extern const Architecture kMobileNetV2;
extern const Architecture kEfficientNet;
extern const Architecture kRegNet;
extern const Architecture kPoolFormer;
extern const Architecture kLevit;
extern const Architecture kSegformer;
extern const Architecture kDetr;
extern const Architecture kTorchvisionResNet;
extern const Architecture kTorchvisionDenseNet;

}  // namespace mlos::convert
