// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "os/file.h"
#include "preprocess/json_file.h"
#include "preprocess/sentence_modules.h"
#include "preprocess/text_pipeline.h"

namespace mlos::preprocess {
namespace {

namespace dom = simdjson::dom;

// Tokenizers without a limit say 1e30.
constexpr double kNoLimit = 1e9;

// An optional JSON object beside the model; an absent file is empty.
class OptionalFile {
 public:
  static Result<OptionalFile> Read(const std::filesystem::path& dir, const std::string& name) {
    OptionalFile file;
    if (!os::Exists(dir / name)) return file;
    MLOS_ASSIGN_OR_RETURN(file.document_, ReadJson(dir, name));
    if (!file.document_->root.is_object()) return DataLoss(name + " is not an object");
    return file;
  }
  // A positive count below kNoLimit.
  std::optional<uint32_t> Length(const char* key) const {
    double value = 0;
    if (!document_ || document_->root[key].get_double().get(value) != simdjson::SUCCESS) return std::nullopt;
    if (!(value >= 1 && value < kNoLimit)) return std::nullopt;
    return static_cast<uint32_t>(value);
  }
  bool IsTrue(const char* key) const {
    bool value = false;
    return document_ && document_->root[key].get_bool().get(value) == simdjson::SUCCESS && value;
  }
  std::string Text(const char* key) const {
    std::string_view text;
    if (!document_ || document_->root[key].get_string().get(text) != simdjson::SUCCESS) return {};
    return std::string(text);
  }
  bool exists() const { return document_.has_value(); }

 private:
  std::optional<JsonDocument> document_;
};

// Under its names through the years.
Result<OptionalFile> ReadTransformerConfig(const std::filesystem::path& dir) {
  for (const char* name :
       {"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json"}) {
    if (os::Exists(dir / name)) return OptionalFile::Read(dir, name);
  }
  return OptionalFile();
}

// Tokens that the position table allows.
std::optional<uint32_t> PositionLimit(const OptionalFile& config) {
  std::optional<uint32_t> limit = config.Length("max_position_embeddings");
  const std::string type = config.Text("model_type");
  for (const char* offset_by_two : {"roberta", "xlm-roberta", "camembert", "mpnet"}) {
    if (limit && *limit > 2 && type == offset_by_two) limit = *limit - 2;
  }
  return limit;
}

Status CheckTextRules(const std::filesystem::path& package_dir, const OptionalFile& transformer,
                      const OptionalFile& tokenizer) {
  if (transformer.IsTrue("do_lower_case") && !tokenizer.IsTrue("do_lower_case")) {
    return Unimplemented(
        "sentence_bert_config.json: 'do_lower_case' is true and the tokenizer does not do it; not supported");
  }
  MLOS_ASSIGN_OR_RETURN(const OptionalFile pipeline,
                        OptionalFile::Read(package_dir, "config_sentence_transformers.json"));
  const std::string prompt = pipeline.Text("default_prompt_name");
  if (!prompt.empty()) {
    return Unimplemented("config_sentence_transformers.json: 'default_prompt_name' is '" + prompt +
                         "'; prompts put before every text are not supported");
  }
  return OkStatus();
}

}  // namespace

Result<SentenceConfig> ReadSentenceConfig(const std::filesystem::path& package_dir) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<SentenceModule> modules, ReadSentenceModules(package_dir));
  const std::filesystem::path encoder = modules.empty() ? package_dir : package_dir / modules.front().path;
  MLOS_ASSIGN_OR_RETURN(const OptionalFile transformer, ReadTransformerConfig(encoder));
  MLOS_ASSIGN_OR_RETURN(const OptionalFile tokenizer, OptionalFile::Read(encoder, "tokenizer_config.json"));
  MLOS_ASSIGN_OR_RETURN(const OptionalFile model, OptionalFile::Read(encoder, "config.json"));

  SentenceConfig config;
  std::optional<uint32_t> length = transformer.Length("max_seq_length");
  if (!length) length = tokenizer.Length("model_max_length");
  const std::optional<uint32_t> positions = PositionLimit(model);
  config.max_length = std::min(length.value_or(std::numeric_limits<uint32_t>::max()),
                               positions.value_or(std::numeric_limits<uint32_t>::max()));
  if (!length && !positions) config.max_length = 0;

  for (const SentenceModule& module : modules) {
    if (module.kind == SentenceModule::Kind::kDense) config.has_dense = true;
    if (module.kind == SentenceModule::Kind::kNormalize) config.normalize = true;
    if (module.kind != SentenceModule::Kind::kPooling) continue;
    config.is_sentence_transformer = true;
    MLOS_ASSIGN_OR_RETURN(config.pooling, ReadPoolingModes(package_dir, module));
  }
  if (config.is_sentence_transformer)
    MLOS_RETURN_IF_ERROR(CheckTextRules(package_dir, transformer, tokenizer));
  return config;
}

}  // namespace mlos::preprocess
