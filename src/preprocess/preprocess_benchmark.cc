// SPDX-License-Identifier: Apache-2.0
// Tokenizing on one thread with all-MiniLM-L6-v2's tokenizer (BERT's vocabulary of 30522 tokens).
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>

#include "preprocess/text_pipeline.h"

namespace mlos::preprocess {
namespace {

namespace fs = std::filesystem;

const std::string kSentence = "The quick brown fox jumps over the lazy dog while it rains in Amsterdam. ";

ModelInterface BertInterface() {
  ModelInterface interface;
  for (const char* name : {"input_ids", "attention_mask", "token_type_ids"}) {
    TensorSpec spec;
    spec.name = name;
    spec.dtype = DType::kInt64;
    spec.shape = {-1, -1};
    spec.dim_names = {"batch_size", "sequence_length"};
    interface.inputs.push_back(spec);
  }
  return interface;
}

void Run(benchmark::State& state, const std::vector<std::string>& texts) {
  const fs::path file = fs::path(MLOS_MINILM_DIR) / "tokenizer.json";
  if (!fs::exists(file)) {
    state.SkipWithError("all-MiniLM-L6-v2 is not there; run ./dev setup");
    return;
  }
  TextOptions options;
  options.tokenizer_file = file;
  options.max_length = 256;
  const auto pipeline = TextPipeline::Load(options);
  const ModelInterface interface = BertInterface();
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  for (auto _ : state) {
    const auto encoded = (*pipeline)->Encode(texts, interface);
    if (!encoded.ok()) state.SkipWithError(encoded.status().ToString().c_str());
    benchmark::DoNotOptimize(encoded->tokens);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
}

void BM_EncodeSentence(benchmark::State& state) { Run(state, {kSentence}); }
BENCHMARK(BM_EncodeSentence)->Unit(benchmark::kMicrosecond);

void BM_EncodeTenThousandSentences(benchmark::State& state) {
  Run(state, std::vector<std::string>(10'000, kSentence));
}
BENCHMARK(BM_EncodeTenThousandSentences)->Unit(benchmark::kMillisecond);

void BM_EncodeMegabyte(benchmark::State& state) {
  std::string text;
  while (text.size() < (1U << 20)) text += kSentence;
  Run(state, {text});
}
BENCHMARK(BM_EncodeMegabyte)->Unit(benchmark::kMillisecond);

void BM_LoadTokenizer(benchmark::State& state) {
  TextOptions options;
  options.tokenizer_file = fs::path(MLOS_MINILM_DIR) / "tokenizer.json";
  for (auto _ : state) {
    if (!TextPipeline::Load(options).ok()) state.SkipWithError("no tokenizer; run ./dev setup");
  }
}
BENCHMARK(BM_LoadTokenizer)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mlos::preprocess
