// SPDX-License-Identifier: Apache-2.0
// Request bodies against several model interfaces (the first byte chooses). What decodes must encode and decode to itself.
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>

#include "wire/json_infer.h"
#include "wire/json_response.h"

namespace {

using mlos::DType;
using mlos::ModelInterface;

ModelInterface Interface(unsigned choice) {
  static constexpr DType kDtypes[] = {DType::kBool,  DType::kUint8, DType::kUint64, DType::kInt8,
                                      DType::kInt64, DType::kFp16,  DType::kBf16,   DType::kFp32,
                                      DType::kFp64,  DType::kBytes, DType::kInt32,  DType::kUint16};
  ModelInterface model;
  model.executes = true;
  const DType dtype = kDtypes[choice % std::size(kDtypes)];
  switch (choice / std::size(kDtypes) % 4) {
    case 0:
      model.inputs = {{.name = "x", .dtype = dtype, .shape = {-1, -1}}};
      break;
    case 1:
      model.inputs = {{.name = "x", .dtype = dtype, .shape = {-1, 2}},
                      {.name = "y", .dtype = DType::kInt64, .shape = {}, .optional = true}};
      model.accepts_text = true;
      break;
    case 2:
      model.inputs = {{.name = "x", .dtype = dtype, .shape = {}}};
      break;
    default:
      model.generates = true;
      model.has_chat_template = true;
  }
  return model;
}

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckRoundTrip(const mlos::wire::InferBody& body, const ModelInterface& model) {
  for (const mlos::NamedTensor& input : body.inputs) {
    std::string text = "{\"" + input.name + "\":{\"data\":";
    Require(mlos::wire::AppendTensorData(input.tensor.view(), &text).ok());
    if (text.find("null") != std::string::npos) continue;  // NaN and infinities come in by b64 only
    text += ",\"shape\":[";
    for (size_t i = 0; i < input.tensor.shape().size(); ++i) {
      text += (i > 0 ? "," : "") + std::to_string(input.tensor.shape()[i]);
    }
    text += "]}}";
    ModelInterface one = model;
    std::erase_if(one.inputs, [&](const mlos::TensorSpec& spec) { return spec.name != input.name; });
    const mlos::Result<mlos::wire::InferBody> back = mlos::wire::DecodeInferJson(text, one);
    Require(back.ok() && back->inputs.size() == 1);
    const mlos::Tensor& again = back->inputs[0].tensor;
    Require(again.shape() == input.tensor.shape() && again.data().size() == input.tensor.data().size());
    Require(again.data().empty() ||
            std::memcmp(again.data().data(), input.tensor.data().data(), again.data().size()) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ModelInterface model = Interface(data[0]);
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  mlos::Result<mlos::wire::InferBody> decoded = mlos::wire::DecodeInferJson(body, model);
  if (decoded.ok()) CheckRoundTrip(*decoded, model);
  mlos::Result<mlos::wire::InferBody> raw = mlos::wire::DecodeInferBytes(body, model);
  if (raw.ok()) CheckRoundTrip(*raw, model);
  return 0;
}
