// SPDX-License-Identifier: Apache-2.0
// Builds a DecoderPlan: takes tensors by name, checks their shapes, and in the end that none is left over.
#pragma once

#include <optional>
#include <set>

#include "convert/gguf/decoder.h"

namespace mlos::convert {

struct DecoderSizes {
  int64_t width = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t inner = 0;  // of the feed-forward part
  int64_t vocabulary = 0;
  int64_t context = 0;
  double epsilon = 1e-6;
  bool tied = false;  // the output matrix is the embedding
};

// What transformers takes where config.json leaves a key out.
struct DecoderDefaults {
  double epsilon = 1e-6;
  bool tied = false;
  int64_t head_dim = 0;  // 0 = width / heads
  // 0 = the key must be there
  int64_t heads = 0, kv_heads = 0, vocabulary = 0, context = 0;
};
Result<DecoderSizes> ReadDecoderSizes(const Config& config, const DecoderDefaults& defaults);

// How the layers of one architecture differ from Llama's.
struct LayerLayout {
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output
  bool mlp_bias = false;
  bool qk_norm = false;
  bool fused_qkv = false;      // one matrix for queries, keys and values
  bool fused_gate_up = false;  // one matrix for gate and up
  bool norms_around = false;   // norms behind attention and feed-forward too (Gemma 2 and 3)
  bool rope_pairs = false;     // llama.cpp turns pairs, the checkpoint has halves
  bool norm_plus_one = false;
};

// How a tensor's bytes change on their way.
struct TakenTensor {
  DecoderTensor::Change change = DecoderTensor::Change::kNone;
  int64_t heads = 0;
};

class DecoderBuilder {
 public:
  DecoderBuilder(std::string architecture, const Config& config, const Checkpoint& checkpoint);

  GgufMetadata& metadata() { return plan_.metadata; }
  // "<architecture>.<key>".
  std::string Key(std::string_view key) const { return plan_.architecture + "." + std::string(key); }
  // Sizes, norms, head dimensions: what every architecture has.
  void AddSizes(const DecoderSizes& sizes);
  // The embedding, all layers, the last norm and the output matrix.
  Status AddTensors(const DecoderSizes& sizes, const LayerLayout& layout);
  void AddValues(std::string name, std::vector<float> values);
  // Tensors whose names begin so are left out.
  void Ignore(std::string prefix, std::string reason) {
    ignore_.emplace_back(std::move(prefix), std::move(reason));
  }

  void Note(std::string note) { plan_.notes.push_back(std::move(note)); }

  // kUnimplemented when a tensor of the checkpoint is neither taken nor ignored.
  Result<DecoderPlan> Finish() &&;

 private:
  using Change = DecoderTensor::Change;
  using Taken = TakenTensor;
  Status FindPrefix();
  Status Take(const std::string& name, const std::string& source, Shape shape, Taken how = {});
  // weight, and bias when `bias`.
  Status TakeLinear(const std::string& name, const std::string& source, int64_t out, int64_t in, bool bias,
                    Taken how = {});
  Status TakeNorm(const std::string& name, const std::string& source, int64_t width,
                  const LayerLayout& layout);
  Status AddAttention(const std::string& to, const std::string& from, const DecoderSizes& s,
                      const LayerLayout& layout);
  Status AddLayer(int64_t index, const DecoderSizes& sizes, const LayerLayout& layout);
  Status AddOutput(const DecoderSizes& sizes);

  const Checkpoint& checkpoint_;
  DecoderPlan plan_;
  std::string base_;  // before "layers.0"
  std::set<std::string, std::less<>> used_;
  std::vector<std::pair<std::string, std::string>> ignore_;
};

}  // namespace mlos::convert
