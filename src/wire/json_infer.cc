// SPDX-License-Identifier: Apache-2.0
#include "wire/json_infer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/json_writer.h"
#include "wire/json_cursor.h"
#include "wire/json_generate.h"
#include "wire/json_keep_alive.h"
#include "wire/json_tensor.h"

namespace mlos::wire {
namespace {

constexpr size_t kMaxTexts = 100'000;
constexpr size_t kMaxIdBytes = 256;

std::string InputList(const ModelInterface& model) {
  std::string out;
  for (const TensorSpec& spec : model.inputs) {
    if (!out.empty()) out += ", ";
    out += "'" + spec.name + "' " + SpecToString(spec);
    if (spec.optional) out += " (optional)";
  }
  return out.empty() ? "none" : out;
}

// What a client may send, for messages.
std::string Accepted(const ModelInterface& model) {
  std::string out;
  if (model.generates) out += "the model takes 'prompt' or 'messages' and generation parameters";
  if (model.accepts_text) out += std::string(out.empty() ? "" : "; ") + "it takes text as 'inputs'";
  if (model.executes || out.empty())
    out += std::string(out.empty() ? "" : "; ") + "its inputs are " + InputList(model);
  return out;
}

// The input that a bare value means: the only one, or the only one that is not optional. Null when there is a choice.
const TensorSpec* SoleInput(const ModelInterface& model) {
  if (model.inputs.size() == 1) return &model.inputs.front();
  const TensorSpec* sole = nullptr;
  for (const TensorSpec& spec : model.inputs) {
    if (spec.optional) continue;
    if (sole != nullptr) return nullptr;
    sole = &spec;
  }
  return sole;
}

class Decoder {
 public:
  Decoder(std::string_view text, const ModelInterface& model) : cursor_(text), model_(model) {}

  Result<InferBody> Decode() {
    if (cursor_.Peek() == '{') {
      MLOS_RETURN_IF_ERROR(cursor_.ForEachMember([&](const std::string& key) { return Member(key); }));
    } else {
      MLOS_RETURN_IF_ERROR(BareValue("the request body"));
    }
    MLOS_RETURN_IF_ERROR(cursor_.ExpectEnd());
    MLOS_RETURN_IF_ERROR(Finish());
    return std::move(body_);
  }

 private:
  Status Member(const std::string& key) {
    // A declared name always means the input, whatever else the word could mean.
    if (const TensorSpec* spec = model_.FindInput(key)) return ReadInput(*spec);
    if (key == "inputs" && cursor_.Peek() == '{') {
      return cursor_.ForEachMember([&](const std::string& name) -> Status {
        const TensorSpec* spec = model_.FindInput(name);
        return spec != nullptr ? ReadInput(*spec)
                               : Unprocessable("unknown input '" + name + "'; " + Accepted(model_));
      });
    }
    if (key == "inputs" || key == "input" || key == "text" || key == "prompt")
      return BareValue("'" + key + "'");
    if (key == "parameters") return ReadParameters();
    if (key == "outputs") return ReadOutputs();
    if (key == "id") return ReadId();
    if (key == "stream") return ReadFlag(key, &body_.stream);
    if (key == "keep_alive") return ReadKeepAliveKey(key);
    return GenerationKey(key, "");
  }

  Status GenerationKey(const std::string& key, std::string_view prefix) {
    if (model_.generates) {
      MLOS_ASSIGN_OR_RETURN(const bool known, DecodeGenerationKey(cursor_, key, &generation_));
      if (known) {
        generation_keys_ = true;
        return OkStatus();
      }
    }
    return Unprocessable("unknown key '" + std::string(prefix) + key + "'; " + Accepted(model_));
  }

  Status ReadInput(const TensorSpec& spec) {
    const auto same = [&](const NamedTensor& input) { return input.name == spec.name; };
    if (std::ranges::any_of(body_.inputs, same))
      return InvalidArgument("input '" + spec.name + "' is given twice");
    MLOS_ASSIGN_OR_RETURN(Tensor tensor, DecodeTensor(cursor_, spec, model_.input_arena));
    body_.inputs.push_back({spec.name, std::move(tensor)});
    return OkStatus();
  }

  // Text, a list of texts, or the tensor of the only input.
  Status BareValue(const std::string& where) {
    if (bare_) return InvalidArgument(where + " comes after another key with the model's input");
    JsonCursor ahead = cursor_;
    const bool list = ahead.TryConsume('[');
    const char first = ahead.Peek();
    if (first == '"' || (list && first == ']' && TakesText())) {
      bare_ = true;
      return ReadTexts(where, list);
    }
    const TensorSpec* spec = SoleInput(model_);
    if (spec == nullptr || model_.generates) {
      return Unprocessable(where + ": got " + cursor_.DescribeNext() + "; " + Accepted(model_));
    }
    bare_ = true;
    return ReadInput(*spec);
  }

  bool TakesText() const {
    if (model_.generates || model_.accepts_text) return true;
    const TensorSpec* spec = SoleInput(model_);
    return spec != nullptr && spec->dtype == DType::kBytes;
  }

  Status ReadTexts(const std::string& where, bool list) {
    if (!TakesText()) return Unprocessable(where + ": got text; " + Accepted(model_));
    if (!model_.generates && !model_.accepts_text) return ReadInput(*SoleInput(model_));
    const auto read_one = [&]() -> Status {
      if (cursor_.Peek() != '"') {
        return Unprocessable(where + "[" + std::to_string(texts_.size()) + "]: wanted a string, got " +
                             cursor_.DescribeNext());
      }
      if (texts_.size() == kMaxTexts)
        return Unprocessable(where + ": more than " + std::to_string(kMaxTexts) + " texts");
      return cursor_.ReadString(&texts_.emplace_back());
    };
    if (!list) return read_one();
    MLOS_RETURN_IF_ERROR(cursor_.ForEachElement([&](size_t) { return read_one(); }));
    return texts_.empty() ? Unprocessable(where + ": the list of texts is empty") : OkStatus();
  }

  Status ReadParameters() {
    if (cursor_.Peek() != '{')
      return Unprocessable("'parameters': wanted an object, got " + cursor_.DescribeNext());
    return cursor_.ForEachMember([&](const std::string& key) {
      if (key == "priority") return ReadPriority();
      if (key == "timeout") return ReadTimeout();
      if (key == "keep_alive") return ReadKeepAliveKey("parameters.keep_alive");
      return GenerationKey(key, "parameters.");
    });
  }

  // A name, or a number as in the Open Inference Protocol: 0 is the default, 1 the highest.
  Status ReadPriority() {
    JsonCursor start = cursor_;
    std::optional<std::string> unknown;
    if (cursor_.Peek() == '"') {
      std::string name;
      MLOS_RETURN_IF_ERROR(cursor_.ReadString(&name));
      body_.priority = ParsePriority(name);
      if (!body_.priority && name.size() <= 64) unknown = JsonQuote(name);
    } else {
      std::string_view number;
      if (cursor_.Peek() >= '0' && cursor_.Peek() <= '9')
        MLOS_RETURN_IF_ERROR(cursor_.ReadNumberText(&number));
      constexpr std::string_view kNumbers = "01234";
      const size_t at = number.size() == 1 ? kNumbers.find(number[0]) : std::string_view::npos;
      if (at != std::string_view::npos)
        body_.priority = at == 0 ? Priority::kNormal : static_cast<Priority>(at - 1);
    }
    if (body_.priority) return OkStatus();
    return InvalidArgument("'parameters.priority': " + (unknown ? *unknown : start.DescribeNext()) +
                           " is unknown, wanted one of " + std::string(kPriorityNames) +
                           ", or a number from 1 (realtime) to 4 (batch), 0 for normal");
  }

  Status ReadKeepAliveKey(const std::string& key) {
    if (body_.keep_alive_ns) return InvalidArgument("'keep_alive' is given twice");
    MLOS_ASSIGN_OR_RETURN(body_.keep_alive_ns, ReadKeepAlive(cursor_, key));
    return OkStatus();
  }

  Status ReadTimeout() {
    JsonCursor start = cursor_;
    std::string_view number;
    uint64_t us = 0;
    if (cursor_.Peek() >= '0' && cursor_.Peek() <= '9') MLOS_RETURN_IF_ERROR(cursor_.ReadNumberText(&number));
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), us);
    if (number.empty() || error != std::errc() || end != number.data() + number.size()) {
      return InvalidArgument("'parameters.timeout': wanted microseconds, a whole number, 0 for none; got " +
                             start.DescribeNext());
    }
    constexpr uint64_t kYear = uint64_t{365} * 24 * 3600 * 1'000'000;
    body_.timeout_us = static_cast<int64_t>(std::min(us, kYear));
    return OkStatus();
  }

  Status ReadOutputs() {
    if (cursor_.Peek() != '[')
      return Unprocessable("'outputs': wanted a list of output names, got " + cursor_.DescribeNext());
    return cursor_.ForEachElement([&](size_t) -> Status {
      if (cursor_.Peek() != '"')
        return Unprocessable("'outputs': wanted a list of output names, found " + cursor_.DescribeNext());
      std::string name;
      MLOS_RETURN_IF_ERROR(cursor_.ReadString(&name));
      if (model_.FindOutput(name) == nullptr)
        return Unprocessable("'outputs': the model has no output '" + name + "'; it has " + OutputList());
      if (std::ranges::find(body_.outputs, name) == body_.outputs.end())
        body_.outputs.push_back(std::move(name));
      return OkStatus();
    });
  }

  std::string OutputList() const {
    std::string out;
    for (const TensorSpec& spec : model_.outputs) out += (out.empty() ? "'" : ", '") + spec.name + "'";
    return out.empty() ? "none" : out;
  }

  Status ReadId() {
    std::string_view number;
    if (cursor_.Peek() == '"') {
      MLOS_RETURN_IF_ERROR(cursor_.ReadString(&body_.id));
    } else {
      MLOS_RETURN_IF_ERROR(cursor_.ReadNumberText(&number));
      body_.id = number;
    }
    return body_.id.size() <= kMaxIdBytes
               ? OkStatus()
               : Unprocessable("'id': longer than " + std::to_string(kMaxIdBytes) + " bytes");
  }

  Status ReadFlag(const std::string& key, bool* out) {
    const char next = cursor_.Peek();
    if (next != 't' && next != 'f')
      return Unprocessable("'" + key + "': wanted true or false, got " + cursor_.DescribeNext());
    return cursor_.ReadBool(out);
  }

  Status Finish() {
    if (!body_.inputs.empty() && (!texts_.empty() || generation_keys_)) {
      return Unprocessable("the request gives both tensors and text; " + Accepted(model_));
    }
    if (body_.stream && !(model_.generates && body_.inputs.empty())) {
      return Unprocessable("'stream' is for models that generate text; " + Accepted(model_));
    }
    if (model_.generates && body_.inputs.empty()) return FinishGeneration();
    body_.texts = std::move(texts_);
    if (!body_.texts.empty()) return OkStatus();
    if (body_.inputs.empty() && model_.accepts_text)
      return Unprocessable("the request gives no input; " + Accepted(model_));
    for (const TensorSpec& spec : model_.inputs) {
      const auto same = [&](const NamedTensor& input) { return input.name == spec.name; };
      if (!spec.optional && std::ranges::none_of(body_.inputs, same)) {
        return Unprocessable("input '" + spec.name + "' is missing; " + Accepted(model_));
      }
    }
    return OkStatus();
  }

  Status FinishGeneration() {
    if (texts_.size() > 1) return Unprocessable("one prompt a request, got " + std::to_string(texts_.size()));
    if (texts_.empty() == generation_.messages.empty()) {
      return Unprocessable(std::string(texts_.empty() ? "neither" : "both") +
                           " 'prompt' and 'messages' given; send one of them");
    }
    if (!texts_.empty()) generation_.prompt = std::move(texts_.front());
    if (!generation_.messages.empty() && !model_.has_chat_template) {
      return Unprocessable("'messages': the model has no chat template; send 'prompt'");
    }
    generation_.stream = body_.stream;
    body_.generation = std::move(generation_);
    return OkStatus();
  }

  JsonCursor cursor_;
  const ModelInterface& model_;
  InferBody body_;
  Generation generation_;
  bool generation_keys_ = false;  // one was given
  bool bare_ = false;             // text or the only input was given without its name
  std::vector<std::string> texts_;
};

}  // namespace

Result<InferBody> DecodeInferJson(std::string_view body, const ModelInterface& model) {
  return Decoder(body, model).Decode();
}

Result<InferBody> DecodeInferBytes(std::string_view body, const ModelInterface& model) {
  const TensorSpec* spec = SoleInput(model);
  if (spec == nullptr) return Unprocessable("a binary body needs a model with one input; " + Accepted(model));
  MLOS_ASSIGN_OR_RETURN(Tensor tensor, TensorFromBytes(*spec, body, nullptr, model.input_arena));
  InferBody out;
  out.inputs.push_back({spec->name, std::move(tensor)});
  return out;
}

}  // namespace mlos::wire
