// SPDX-License-Identifier: Apache-2.0
#include "preprocess/text_pipeline.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "os/file.h"
#include "preprocess/json_file.h"
#include "preprocess/pooling.h"
#include "preprocess/tokenizer.h"
#include "preprocess/truncate.h"

namespace mlos::preprocess {
namespace {

namespace dom = simdjson::dom;

// Tokens of one batch, padding included: 512 MB a tensor.
constexpr uint64_t kMaxBatchTokens = uint64_t{1} << 26;

// A second of work on one core takes about 2 MB of text.
constexpr size_t kMaxTextBytes = size_t{8} << 20;

// How rows are brought to one length.
struct Padding {
  uint32_t id = 0;
  uint32_t type_id = 0;
  bool left = false;
  bool truncate_left = false;
};

// The text of a token in tokenizer_config.json: a text, or an object with "content".
std::string TokenText(dom::object config, const char* key) {
  dom::element value;
  std::string_view text;
  if (config[key].get(value) != simdjson::SUCCESS) return {};
  if (value.get_string().get(text) == simdjson::SUCCESS ||
      value["content"].get_string().get(text) == simdjson::SUCCESS) {
    return std::string(text);
  }
  return {};
}

// tokenizer.json's own section, else tokenizer_config.json beside it, else the customary names.
Result<Padding> FindPadding(const Tokenizer& tokenizer, const std::filesystem::path& tokenizer_file) {
  const Tokenizer::Padding& own = tokenizer.padding();
  Padding padding{own.id, own.type_id, own.left, own.truncate_left};
  std::vector<std::string> names = {"[PAD]", "<pad>"};
  const std::filesystem::path dir = tokenizer_file.parent_path();
  if (os::Exists(dir / "tokenizer_config.json")) {
    MLOS_ASSIGN_OR_RETURN(const JsonDocument document, ReadJson(dir, "tokenizer_config.json"));
    dom::object config;
    if (document.root.get_object().get(config) != simdjson::SUCCESS)
      return DataLoss("tokenizer_config.json is not an object");
    std::string_view side;
    if (!own.given && config["padding_side"].get_string().get(side) == simdjson::SUCCESS)
      padding.left = side == "left";
    if (config["truncation_side"].get_string().get(side) == simdjson::SUCCESS)
      padding.truncate_left = side == "left";
    const std::string named = TokenText(config, "pad_token");
    if (!named.empty()) names.insert(names.begin(), named);
  }
  if (own.given) return padding;
  for (const std::string& name : names) {
    const int64_t id = tokenizer.TokenId(name);
    if (id < 0) continue;
    padding.id = static_cast<uint32_t>(id);
    break;
  }
  return padding;
}

// The rows of a batch after truncation.
struct Batch {
  const EncodedBatch& encoded;
  std::vector<std::vector<uint32_t>> kept;  // positions, per text
  size_t longest = 0;
};

enum class Column { kIds, kMask, kTypes };

template <typename T>
void Fill(const Batch& batch, const Padding& padding, Column column, std::span<T> out) {
  const T pad = column == Column::kIds     ? static_cast<T>(padding.id)
                : column == Column::kTypes ? static_cast<T>(padding.type_id)
                                           : T{0};
  std::fill(out.begin(), out.end(), pad);
  for (size_t i = 0; i < batch.kept.size(); ++i) {
    const std::vector<uint32_t>& kept = batch.kept[i];
    const EncodingView view = batch.encoded[i];
    const size_t start = i * batch.longest + (padding.left ? batch.longest - kept.size() : 0);
    for (size_t j = 0; j < kept.size(); ++j) {
      out[start + j] = column == Column::kIds     ? static_cast<T>(view.ids[kept[j]])
                       : column == Column::kTypes ? static_cast<T>(view.type_ids[kept[j]])
                                                  : T{1};
    }
  }
}

Result<Tensor> MakeTensor(const TensorSpec& spec, const Batch& batch, const Padding& padding, Column column) {
  const Shape shape = {static_cast<int64_t>(batch.kept.size()), static_cast<int64_t>(batch.longest)};
  if (spec.dtype != DType::kInt64 && spec.dtype != DType::kInt32) {
    return Unimplemented("the model's input " + spec.name + " is " + SpecToString(spec) +
                         "; tokens go into INT64 or INT32");
  }
  MLOS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(spec.dtype, shape));
  if (spec.dtype == DType::kInt64) {
    Fill<int64_t>(batch, padding, column, tensor.As<int64_t>());
  } else {
    Fill<int32_t>(batch, padding, column, tensor.As<int32_t>());
  }
  return tensor;
}

const NamedTensor* FindTensor(const std::vector<NamedTensor>& tensors, std::string_view name) {
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

class Pipeline final : public TextPipeline {
 public:
  Pipeline(TextOptions options, Tokenizer tokenizer, Padding padding, std::optional<Pooling> pooling)
      : options_(std::move(options)),
        tokenizer_(std::move(tokenizer)),
        padding_(padding),
        pooling_(pooling) {}

  Result<EncodedText> Encode(const std::vector<std::string>& texts,
                             const ModelInterface& interface) const override {
    if (texts.empty()) return Unprocessable("inputs is empty; at least one text is needed");
    for (size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].size() <= kMaxTextBytes) continue;
      return TooLarge("input " + std::to_string(i) + " has " + std::to_string(texts[i].size()) +
                      " bytes of text; at most " + std::to_string(kMaxTextBytes) + " are taken");
    }
    const TensorSpec* ids = interface.FindInput("input_ids");
    if (ids == nullptr) return Unimplemented("the model has no input 'input_ids'; it does not take text");
    // A model exported for one length: pad and cut to it.
    const int64_t fixed = ids->shape.size() == 2 && ids->shape[1] > 0 ? ids->shape[1] : 0;
    const uint32_t limit = Limit(fixed);

    MLOS_ASSIGN_OR_RETURN(const EncodedBatch encoded, tokenizer_.Encode(texts));
    EncodedText result;
    Batch batch{encoded, {}, static_cast<size_t>(fixed)};
    uint64_t tokens = 0;
    for (size_t i = 0; i < encoded.size(); ++i) {
      const EncodingView view = encoded[i];
      batch.kept.push_back(KeptPositions(view, limit, padding_.truncate_left));
      const size_t kept = batch.kept.back().size();
      if (kept < view.ids.size()) {
        result.warnings.push_back("input " + std::to_string(i) + " was truncated from " +
                                  std::to_string(view.ids.size()) + " to " + std::to_string(kept) +
                                  " tokens");
      }
      batch.longest = std::max(batch.longest, kept);
      tokens += kept;
    }
    const auto padded = CheckedMul<uint64_t>(batch.longest, batch.kept.size());
    if (!padded || *padded > kMaxBatchTokens) {
      return TooLarge("the batch has " + std::to_string(batch.kept.size()) + " texts of up to " +
                      std::to_string(batch.longest) + " tokens, together over " +
                      std::to_string(kMaxBatchTokens) + "; send fewer or shorter texts");
    }
    if (batch.longest == 0) return Unprocessable("the texts have no tokens");
    result.tokens = static_cast<uint32_t>(tokens);
    for (const auto& [name, column] : {std::pair("input_ids", Column::kIds),
                                       {"attention_mask", Column::kMask},
                                       {"token_type_ids", Column::kTypes}}) {
      const TensorSpec* spec = interface.FindInput(name);
      if (spec == nullptr) continue;
      MLOS_ASSIGN_OR_RETURN(Tensor tensor, MakeTensor(*spec, batch, padding_, column));
      result.inputs.push_back({name, std::move(tensor)});
    }
    return result;
  }

  Status PostProcess(const std::vector<NamedTensor>& encoded_inputs,
                     std::vector<NamedTensor>* outputs) const override {
    if (!pooling_) return OkStatus();
    const NamedTensor* tokens = FindTensor(*outputs, options_.pooling_input);
    if (tokens == nullptr) {
      return FailedPrecondition("pooling needs the model's output '" + options_.pooling_input +
                                "', which it did not give");
    }
    const NamedTensor* mask = FindTensor(encoded_inputs, "attention_mask");
    const TensorView mask_view = mask == nullptr ? TensorView{} : mask->tensor.view();
    MLOS_ASSIGN_OR_RETURN(Tensor pooled, Pool(tokens->tensor.view(), mask == nullptr ? nullptr : &mask_view,
                                              *pooling_, options_.normalize));
    outputs->insert(outputs->begin(), NamedTensor{"sentence_embedding", std::move(pooled)});
    return OkStatus();
  }

 private:
  uint32_t Limit(int64_t fixed) const {
    if (fixed <= 0 || fixed > std::numeric_limits<uint32_t>::max()) return options_.max_length;
    const auto size = static_cast<uint32_t>(fixed);
    return options_.max_length == 0 ? size : std::min(options_.max_length, size);
  }

  const TextOptions options_;
  const Tokenizer tokenizer_;
  const Padding padding_;
  const std::optional<Pooling> pooling_;
};

}  // namespace

Result<std::unique_ptr<TextPipeline>> TextPipeline::Load(const TextOptions& options) {
  std::optional<Pooling> pooling;
  TextOptions checked = options;
  if (!options.pooling.empty()) {
    pooling = PoolingFromName(options.pooling);
    if (!pooling) {
      return Unimplemented("pooling '" + options.pooling +
                           "' is not supported; supported: mean, cls, max, lasttoken");
    }
    if (checked.pooling_input.empty()) checked.pooling_input = "last_hidden_state";
  }
  MLOS_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(options.tokenizer_file));
  MLOS_ASSIGN_OR_RETURN(const Padding padding, FindPadding(tokenizer, options.tokenizer_file));
  return std::unique_ptr<TextPipeline>(
      std::make_unique<Pipeline>(std::move(checked), std::move(tokenizer), padding, pooling));
}

}  // namespace mlos::preprocess
