// SPDX-License-Identifier: Apache-2.0
// Time of one conversion with warm files: all-MiniLM-L6-v2 when ./dev setup has brought it, and a checkpoint of BERT-base's
// size (a sparse file: conversion reads the header only).
#include <benchmark/benchmark.h>

#include <filesystem>

#include "convert/convert.h"
#include "convert/testing/safetensors_writer.h"
#include "os/directory.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

// config.json and model.safetensors of a BERT of the given size.
void WriteBert(const fs::path& dir, int64_t layers, int64_t width, int64_t vocabulary) {
  std::vector<std::pair<std::string, Shape>> tensors = {
      {"embeddings.word_embeddings.weight", {vocabulary, width}},
      {"embeddings.position_embeddings.weight", {512, width}},
      {"embeddings.token_type_embeddings.weight", {2, width}}};
  const auto add = [&](const std::string& name, const Shape& weight) {
    tensors.emplace_back(name + ".weight", weight);
    tensors.emplace_back(name + ".bias", Shape{weight.front()});
  };
  add("embeddings.LayerNorm", {width});
  add("pooler.dense", {width, width});
  for (int64_t i = 0; i < layers; ++i) {
    const std::string p = "encoder.layer." + std::to_string(i) + ".";
    for (const char* name :
         {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}) {
      add(p + name, {width, width});
    }
    add(p + "intermediate.dense", {4 * width, width});
    add(p + "output.dense", {width, 4 * width});
    add(p + "attention.output.LayerNorm", {width});
    add(p + "output.LayerNorm", {width});
  }
  JsonWriter header;
  uint64_t end = 0;
  header.BeginObject();
  for (const auto& [name, shape] : tensors) {
    header.Key(name).BeginObject().Key("dtype").String("F32").Key("shape").BeginArray();
    for (const int64_t size : shape) header.Int(size);
    header.EndArray().Key("data_offsets").BeginArray().Uint(end);
    end += *TensorBytes(DType::kFp32, shape);
    header.Uint(end).EndArray().EndObject();
  }
  header.EndObject();
  std::string text = std::move(header).Take();
  text.append(8 - text.size() % 8, ' ');
  WriteBytes(dir / "model.safetensors", SafetensorsBytes(text, ""));
  fs::resize_file(dir / "model.safetensors", 8 + text.size() + end);
  WriteBytes(dir / "config.json",
             "{\"model_type\":\"bert\",\"architectures\":[\"BertModel\"],\"num_hidden_layers\":" +
                 std::to_string(layers) + ",\"hidden_size\":" + std::to_string(width) +
                 ",\"num_attention_heads\":12,\"intermediate_size\":" + std::to_string(4 * width) +
                 ",\"vocab_size\":" + std::to_string(vocabulary) + "}");
}

void Run(benchmark::State& state, const fs::path& dir) {
  size_t graph_bytes = 0;
  for (auto _ : state) {
    const auto result = Convert(dir, {});
    if (!result.ok()) {
      state.SkipWithError(result.status().ToString().c_str());
      return;
    }
    graph_bytes = result->graphs.front().onnx.size();
  }
  state.counters["model.onnx_bytes"] = static_cast<double>(graph_bytes);
  state.counters["weight_bytes"] = static_cast<double>(fs::file_size(dir / "model.safetensors"));
}

void BM_ConvertBertBase(benchmark::State& state) {
  const os::TemporaryDirectory dir;
  WriteBert(dir.path(), 12, 768, 30522);
  Run(state, dir.path());
}
BENCHMARK(BM_ConvertBertBase)->Unit(benchmark::kMicrosecond);

void BM_ConvertMiniLm(benchmark::State& state) {
  if (!fs::exists(fs::path(MLOS_MINILM_DIR) / "model.safetensors")) {
    state.SkipWithError("all-MiniLM-L6-v2 is not there; run ./dev setup");
    return;
  }
  Run(state, MLOS_MINILM_DIR);
}
BENCHMARK(BM_ConvertMiniLm)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mlos::convert
