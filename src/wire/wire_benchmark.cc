// SPDX-License-Identifier: Apache-2.0
// Decoding a 224x224x3 image sent as JSON, against the same numbers read by simdjson (on demand) and by a plain
// fast_float loop, in one run. Encoding against nothing: std::to_chars is the floor.
#include <benchmark/benchmark.h>
#include <fast_float/fast_float.h>
#include <simdjson.h>

#include <charconv>
#include <random>
#include <string>
#include <vector>

#include "wire/json_infer.h"
#include "wire/json_response.h"

namespace mlos::wire {
namespace {

constexpr int64_t kPixels = 3 * 224 * 224;

// What Python's json.dumps writes for a list of normalised pixel values: the shortest text of a double.
std::string PythonFloats() {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(0, 1);
  std::string out;
  char text[64];
  for (int64_t i = 0; i < kPixels; ++i) {
    if (i > 0) out += ", ";
    out.append(text, std::to_chars(text, text + sizeof text, normal(random)).ptr);
  }
  return out;
}

std::string FixedFloats() {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(0, 1);
  std::string out;
  char text[64];
  for (int64_t i = 0; i < kPixels; ++i) {
    if (i > 0) out += ',';
    out.append(text,
               std::to_chars(text, text + sizeof text, normal(random), std::chars_format::fixed, 6).ptr);
  }
  return out;
}

std::string Ids() {
  std::mt19937 random(1);
  std::string out;
  for (int64_t i = 0; i < kPixels; ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(random() % 30522);
  }
  return out;
}

ModelInterface Image() {
  ModelInterface model;
  model.executes = true;
  model.inputs = {{.name = "pixel_values", .dtype = DType::kFp32, .shape = {-1, 3, 224, 224}}};
  return model;
}

ModelInterface Tokens() {
  ModelInterface model;
  model.executes = true;
  model.inputs = {{.name = "input_ids", .dtype = DType::kInt64, .shape = {-1, -1}}};
  return model;
}

void Decode(benchmark::State& state, const std::string& body, const ModelInterface& model) {
  for (auto _ : state) {
    Result<InferBody> decoded = DecodeInferJson(body, model);
    if (!decoded.ok()) return state.SkipWithError(decoded.status().message().c_str());
    benchmark::DoNotOptimize(decoded->inputs[0].tensor.data().data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(body.size()) * state.iterations());
}

void BM_Mlos_PythonFloats(benchmark::State& state) {
  Decode(state, "{\"pixel_values\": [" + PythonFloats() + "]}", Image());
}
void BM_Mlos_FixedFloats(benchmark::State& state) {
  Decode(state, "{\"pixel_values\": [" + FixedFloats() + "]}", Image());
}
void BM_Mlos_Ids(benchmark::State& state) { Decode(state, "{\"input_ids\": [" + Ids() + "]}", Tokens()); }

void BM_Simdjson_PythonFloats(benchmark::State& state) {
  const simdjson::padded_string body(std::string("{\"pixel_values\": [") + PythonFloats() + "]}");
  simdjson::ondemand::parser parser;
  std::vector<float> out(kPixels);
  for (auto _ : state) {
    simdjson::ondemand::document doc;
    if (parser.iterate(body).get(doc) != simdjson::SUCCESS) return state.SkipWithError("iterate");
    simdjson::ondemand::array array;
    if (doc["pixel_values"].get_array().get(array) != simdjson::SUCCESS) return state.SkipWithError("array");
    size_t n = 0;
    for (auto value : array) out[n++] = static_cast<float>(double(value));
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(body.size()) * state.iterations());
}

void BM_FastFloatLoop_PythonFloats(benchmark::State& state) {
  const std::string body = PythonFloats();
  std::vector<float> out(kPixels);
  for (auto _ : state) {
    const char* p = body.data();
    const char* const end = p + body.size();
    for (size_t n = 0; p < end; ++n) {
      p = fast_float::from_chars(p, end, out[n]).ptr;
      while (p < end && (*p == ',' || *p == ' ')) ++p;
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(body.size()) * state.iterations());
}

void BM_Mlos_TinyRequest(benchmark::State& state) {
  ModelInterface model = Tokens();
  Decode(state, R"({"input_ids": [101, 7592, 102]})", model);
}

void BM_Mlos_EncodeFloats(benchmark::State& state) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(100'000);
  for (float& v : values) v = normal(random);
  const Shape shape = {100'000};
  std::string out;
  for (auto _ : state) {
    out.clear();
    if (!AppendTensorData({DType::kFp32, shape, std::as_bytes(std::span(values))}, &out).ok()) return;
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(values.size()) * state.iterations());
}

BENCHMARK(BM_Mlos_PythonFloats)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Simdjson_PythonFloats)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_FastFloatLoop_PythonFloats)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Mlos_FixedFloats)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Mlos_Ids)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Mlos_TinyRequest);
BENCHMARK(BM_Mlos_EncodeFloats)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mlos::wire
