// SPDX-License-Identifier: Apache-2.0
#include "wire/json_response.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstring>

#include "base/json_writer.h"
#include "wire/base64.h"

namespace mlos::wire {
namespace {

// Collects short texts and hands them to the string in large pieces: a std::string::append per number costs as much as
// formatting it.
class Chunk {
 public:
  explicit Chunk(std::string* out) : out_(out) {}
  ~Chunk() { Flush(); }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  void Put(char c) {
    Reserve();
    *at_++ = c;
  }

  template <typename T>
  void PutNumber(T value) {
    Reserve();
    if constexpr (std::floating_point<T>) {
      if (!std::isfinite(value)) return PutText("null");
    }
    at_ = std::to_chars(at_, buffer_.data() + buffer_.size(), value).ptr;
  }

  void PutText(std::string_view text) {
    for (const char c : text) Put(c);
  }

 private:
  static constexpr std::ptrdiff_t kLongest = 48;  // of one number and its comma

  void Reserve() {
    if (buffer_.data() + buffer_.size() - at_ < kLongest) Flush();
  }
  void Flush() {
    out_->append(buffer_.data(), at_);
    at_ = buffer_.data();
  }

  std::string* out_;
  std::array<char, 8192> buffer_;
  char* at_ = buffer_.data();
};

template <typename T, typename F>
void AppendElements(const TensorView& tensor, std::string* out, F&& convert) {
  Chunk chunk(out);
  bool first = true;
  for (const T element : tensor.As<T>()) {
    if (!first) chunk.Put(',');
    first = false;
    chunk.PutNumber(convert(element));
  }
}

template <typename T>
void AppendPlain(const TensorView& tensor, std::string* out) {
  AppendElements<T>(tensor, out, [](T v) { return v; });
}

void AppendBools(const TensorView& tensor, std::string* out) {
  Chunk chunk(out);
  bool first = true;
  for (const std::byte element : tensor.data) {
    if (!first) chunk.Put(',');
    first = false;
    chunk.PutText(element != std::byte{0} ? "true" : "false");
  }
}

Status AppendStrings(const TensorView& tensor, std::string* out) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string_view> strings, DecodeStrings(tensor));
  bool first = true;
  for (const std::string_view s : strings) {
    if (!first) *out += ',';
    first = false;
    if (simdjson::validate_utf8(s.data(), s.size())) {
      *out += JsonQuote(s);
    } else {
      *out += "{\"b64\":\"" + EncodeBase64(s) + "\"}";
    }
  }
  return OkStatus();
}

Status AppendValues(const TensorView& tensor, std::string* out) {
  switch (tensor.dtype) {
    case DType::kBool:
      AppendBools(tensor, out);
      break;
    case DType::kUint8:
      AppendElements<uint8_t>(tensor, out, [](uint8_t v) { return static_cast<uint32_t>(v); });
      break;
    case DType::kUint16:
      AppendPlain<uint16_t>(tensor, out);
      break;
    case DType::kUint32:
      AppendPlain<uint32_t>(tensor, out);
      break;
    case DType::kUint64:
      AppendPlain<uint64_t>(tensor, out);
      break;
    case DType::kInt8:
      AppendElements<int8_t>(tensor, out, [](int8_t v) { return static_cast<int32_t>(v); });
      break;
    case DType::kInt16:
      AppendPlain<int16_t>(tensor, out);
      break;
    case DType::kInt32:
      AppendPlain<int32_t>(tensor, out);
      break;
    case DType::kInt64:
      AppendPlain<int64_t>(tensor, out);
      break;
    case DType::kFp16:
      AppendElements<uint16_t>(tensor, out, HalfToFloat);
      break;
    case DType::kBf16:
      AppendElements<uint16_t>(tensor, out, Bf16ToFloat);
      break;
    case DType::kFp32:
      AppendPlain<float>(tensor, out);
      break;
    case DType::kFp64:
      AppendPlain<double>(tensor, out);
      break;
    case DType::kBytes:
      return AppendStrings(tensor, out);
    case DType::kInvalid:
      return Internal("an output tensor without a dtype");
  }
  return OkStatus();
}

// {"name":{"datatype":"FP32","shape":[..],"data":[..]}, ...}
std::string EncodeOutputs(const std::vector<NamedTensor>& outputs) {
  std::string out = "{";
  for (const NamedTensor& output : outputs) {
    const Tensor& tensor = output.tensor;
    if (out.size() > 1) out += ',';
    out += JsonQuote(output.name) + ":{\"datatype\":\"";
    out += DTypeName(tensor.dtype());
    out += "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape().size(); ++i) {
      if (i > 0) out += ',';
      out += std::to_string(tensor.shape()[i]);
    }
    out += "],\"data\":";
    if (!AppendTensorData(tensor.view(), &out).ok()) out += "null";
    out += '}';
  }
  out += '}';
  return out;
}

size_t DataBytes(const std::vector<NamedTensor>& outputs) {
  size_t bytes = 0;
  for (const NamedTensor& output : outputs) bytes += output.tensor.data().size();
  return bytes;
}

double Ms(int64_t ns) { return static_cast<double>(ns / 1000) / 1000.0; }

void WriteGenerated(const Response& response, JsonWriter* w) {
  w->Key("text").String(response.text);
  w->Key("tokens_generated").Uint(response.completion_tokens);
  w->Key("finish_reason").String(FinishReasonName(response.finish));
  w->Key("prompt_ms").Double(Ms(response.timing.prompt_ns));
  w->Key("eval_ms").Double(Ms(response.timing.eval_ns));
}

void WriteFields(const Response& response, const ResponseContext& context, JsonWriter* w) {
  const bool encodes = !context.generated && context.include_outputs;
  const std::string outputs = encodes ? EncodeOutputs(response.outputs) : std::string();
  const size_t output_size = context.generated ? JsonQuote(response.text).size()
                             : encodes         ? outputs.size()
                                               : DataBytes(response.outputs);
  if (encodes) w->buffer().reserve(w->buffer().size() + outputs.size() + 1024);
  w->Key("status").String("success");
  w->Key("model_id").String(context.model_id);
  w->Key("inference_time_us").Int(response.timing.compute_ns / 1000);
  w->Key("output_size").Uint(output_size);
  w->Key("queue_time_us").Int(response.timing.queue_ns / 1000);
  w->Key("model_version").String(response.model_version);
  w->Key("message").String("inference completed");
  w->Key("request_id").String(context.request_id);
  if (!context.client_id.empty()) w->Key("id").String(context.client_id);
  w->Key("latency_ms").Double(Ms(response.timing.total_ns));
  if (response.prompt_tokens > 0 || context.generated) w->Key("prompt_tokens").Uint(response.prompt_tokens);
  if (context.generated) WriteGenerated(response, w);
  if (!response.warnings.empty()) {
    w->Key("warnings").BeginArray();
    for (const std::string& warning : response.warnings) w->String(warning);
    w->EndArray();
  }
  if (encodes) w->Key("outputs").Raw(outputs);
}

}  // namespace

Status AppendTensorData(const TensorView& tensor, std::string* out) {
  const size_t before = out->size();
  *out += '[';
  const Status status = AppendValues(tensor, out);
  if (!status.ok()) {
    out->resize(before);
    return status;
  }
  *out += ']';
  return OkStatus();
}

std::string EncodeInferResponse(const Response& response, const ResponseContext& context) {
  JsonWriter w;
  w.BeginObject();
  WriteFields(response, context, &w);
  w.EndObject();
  return std::move(w).Take();
}

std::string EncodeStreamText(std::string_view piece) {
  JsonWriter w("data: ");
  w.BeginObject().Key("text").String(piece).EndObject();
  return std::move(w).Take() + "\n\n";
}

std::string EncodeStreamDone(const Response& response, const ResponseContext& context) {
  JsonWriter w("data: ");
  w.BeginObject().Key("done").Bool(true);
  WriteFields(response, context, &w);
  w.EndObject();
  return std::move(w).Take() + "\n\ndata: [DONE]\n\n";
}

std::string EncodeStreamError(const Status& status, std::string_view request_id) {
  JsonWriter w("data: ");
  w.BeginObject().Key("error").BeginObject();
  w.Key("code").String(CodeName(status.code())).Key("message").String(status.message());
  w.Key("request_id").String(request_id);
  w.EndObject().EndObject();
  return std::move(w).Take() + "\n\n";
}

std::string EncodeError(const Status& status, std::string_view model_id, std::string_view request_id) {
  return EncodeError(CodeName(status.code()), status.message(), model_id, request_id);
}

std::string EncodeError(std::string_view code, std::string_view message, std::string_view model_id,
                        std::string_view request_id) {
  JsonWriter w;
  w.BeginObject();
  w.Key("status").String("error").Key("code").String(code).Key("message").String(message);
  if (!model_id.empty()) w.Key("model_id").String(model_id);
  w.Key("request_id").String(request_id);
  w.EndObject();
  return std::move(w).Take();
}

}  // namespace mlos::wire
