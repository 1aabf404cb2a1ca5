// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <algorithm>

#include "cpus.h"
#include "ggml.h"

namespace mlos::llama {
namespace {

// Sizes come from a file: sums and products stop at the largest number instead of wrapping around.
uint64_t Plus(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
uint64_t Times(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
template <typename... More>
uint64_t Times(uint64_t a, uint64_t b, More... more) {
  return Times(Times(a, b), more...);
}

// Sizes of the network that memory depends on.
struct Shape {
  uint64_t layers = 0, width = 0, feed_forward = 0, heads = 0, vocabulary = 0, context = 0;
  bool attends_causally = true;
};

class Reader {
 public:
  explicit Reader(const GgufHeader& header) : header_(header), arch_(header.String("general.architecture")) {}
  const std::string& arch() const { return arch_; }
  std::string Key(const char* name) const { return arch_ + "." + name; }
  uint64_t Largest(const char* name, uint64_t otherwise = 0) const {
    return header_.Largest(Key(name)).value_or(otherwise);
  }
  uint64_t OfLayer(const char* name, uint64_t layer, uint64_t otherwise) const {
    return header_.OfLayer(Key(name), layer).value_or(otherwise);
  }
  const GgufHeader& header() const { return header_; }

 private:
  const GgufHeader& header_;
  std::string arch_;
};

Status CheckKind(const Reader& reader) {
  const GgufHeader& header = reader.header();
  if (reader.arch().empty()) return Fail(SMI_CORRUPT, "the GGUF file does not say its general.architecture");
  const std::string type = header.String("general.type");
  if (!type.empty() && type != "model") {
    return Fail(SMI_UNSUPPORTED, "the GGUF file is a '", type, "', not a model that can run by itself");
  }
  const std::string tokenizer = header.String("tokenizer.ggml.model");
  // The engine ends the process when a model without a vocabulary is asked to tokenize.
  if (tokenizer.empty() || tokenizer == "none" || tokenizer == "no_vocab") {
    return Fail(SMI_UNSUPPORTED, "the GGUF file holds no tokenizer (tokenizer.ggml.model is ",
                tokenizer.empty() ? "missing" : "'" + tokenizer + "'", "), so text cannot be given to it");
  }
  if (header.ArrayCount("tokenizer.ggml.tokens") == 0) {
    return Fail(SMI_CORRUPT, "the GGUF file's vocabulary (tokenizer.ggml.tokens) is missing or empty");
  }
  return Ok();
}

Status ReadShape(const Reader& reader, Shape* shape) {
  shape->layers = reader.Largest("block_count");
  shape->width = reader.Largest("embedding_length");
  shape->heads = reader.Largest("attention.head_count");
  const uint64_t experts = std::max<uint64_t>(1, reader.Largest("expert_used_count", 1));
  const uint64_t expert_width =
      reader.Largest("expert_feed_forward_length", reader.Largest("feed_forward_length"));
  shape->feed_forward = std::max(reader.Largest("feed_forward_length"), Times(experts, expert_width));
  shape->vocabulary = reader.header().ArrayCount("tokenizer.ggml.tokens");
  shape->context = reader.Largest("context_length");
  shape->attends_causally = reader.header().Bool(reader.Key("attention.causal")).value_or(true);
  for (const auto& [name, value] : {std::pair{"block_count", shape->layers},
                                    {"embedding_length", shape->width},
                                    {"context_length", shape->context}}) {
    if (value == 0 || value > (1u << 30)) {
      return Fail(SMI_CORRUPT, "the GGUF file's ", reader.Key(name), " is missing or not a sensible number (",
                  value, ")");
    }
  }
  return Ok();
}

Status ChoosePooling(const Reader& reader, const LoadOptions& options, const Shape& shape, ModelPlan* plan) {
  constexpr uint64_t kRank = 4;
  const uint64_t in_file = reader.Largest("pooling_type");
  plan->pooling = options.pooling;
  if (options.pooling != Pooling::kFromFile) {
    plan->embeds = true;
  } else if (in_file >= 1 && in_file <= 3) {
    plan->embeds = true;
    plan->pooling = static_cast<Pooling>(in_file);
  } else if (in_file == kRank) {
    return Fail(SMI_UNSUPPORTED, "the model ranks pairs of texts (", reader.Key("pooling_type"),
                " = 4): not supported yet");
  } else if (!shape.attends_causally) {
    return Fail(SMI_UNSUPPORTED, "'", reader.arch(),
                "' is an encoder, but the file does not say how to pool its vectors (",
                reader.Key("pooling_type"), "); load it with the option pooling=mean, cls or last");
  }
  return Ok();
}

// Bytes that one token keeps in the caches of all layers, 16 bits a number.
uint64_t CacheBytesPerToken(const Reader& reader, const Shape& shape) {
  const uint64_t head_width = shape.heads == 0 ? shape.width : (shape.width + shape.heads - 1) / shape.heads;
  const uint64_t key_width = std::max(reader.Largest("attention.key_length", head_width),
                                      reader.Largest("attention.key_length_swa"));
  const uint64_t value_width = std::max(reader.Largest("attention.value_length", head_width),
                                        reader.Largest("attention.value_length_swa"));
  const uint64_t all_heads = reader.Largest("attention.head_count_kv", shape.heads);
  uint64_t bytes = 0;
  for (uint64_t layer = 0; layer < std::min<uint64_t>(shape.layers, 4096); ++layer) {
    const uint64_t heads = reader.OfLayer("attention.head_count_kv", layer, all_heads);
    bytes = Plus(bytes, Times(heads, Plus(key_width, value_width), 2));
  }
  return bytes;
}

// Bytes of the running state of one sequence in models that keep one (Mamba, RWKV and their mixtures); else 0.
uint64_t StateBytesPerSequence(const Reader& reader, const Shape& shape) {
  const uint64_t inner = reader.Largest("ssm.inner_size");
  const uint64_t state = reader.Largest("ssm.state_size");
  const uint64_t groups = reader.Largest("ssm.group_count");
  const uint64_t convolution = reader.Largest("ssm.conv_kernel");
  const uint64_t rwkv_head = reader.Largest("wkv.head_size");
  const uint64_t numbers =
      Plus(Times(Plus(inner, Times(2, groups, state)), convolution),
           Plus(Times(inner, state), rwkv_head == 0 ? 0 : Times(shape.width, rwkv_head + 2)));
  return Times(shape.layers, numbers, 4);
}

uint64_t PaddedContext(uint64_t tokens) { return (tokens + 255) / 256 * 256; }

Status ChooseSizes(const LoadOptions& options, const Shape& shape, uint64_t per_token, uint64_t per_sequence,
                   ModelPlan* plan) {
  const uint64_t most = std::min<uint64_t>(shape.context, kMaxContext);
  if (options.context_length > most) {
    return Fail(SMI_INVALID_ARGUMENT, "a context of ", options.context_length,
                " tokens is asked for, but the model has ", most);
  }
  if (options.max_sequences > kMaxSequences) {
    return Fail(SMI_INVALID_ARGUMENT, options.max_sequences, " sequences are asked for, at most ",
                kMaxSequences, " can be decoded side by side");
  }
  plan->context_length = options.context_length != 0
                             ? options.context_length
                             : static_cast<uint32_t>(std::min<uint64_t>(most, kDefaultContext));
  if (plan->embeds) {
    // One step holds whole texts: they share its tokens, and none is longer than the context.
    plan->max_sequences = options.max_sequences != 0 ? options.max_sequences : 64;
    // The engine asserts that the step divides evenly among the sequences.
    const uint32_t n = plan->max_sequences;
    plan->batch = (plan->context_length + n - 1) / n * n;
    plan->cache_tokens = shape.attends_causally ? PaddedContext(plan->batch) : 0;
    return Ok();
  }
  const uint64_t each = Plus(Times(plan->context_length, per_token), per_sequence);
  plan->max_sequences = options.max_sequences;
  if (plan->max_sequences == 0) {
    plan->max_sequences = kDefaultSequences;
    while (plan->max_sequences > 1 && Times(plan->max_sequences, each) > kDefaultCacheBytes)
      plan->max_sequences /= 2;
  }
  plan->cache_tokens = PaddedContext(Times(plan->max_sequences, plan->context_length));
  if (plan->cache_tokens > UINT32_MAX / 2) {
    return Fail(SMI_INVALID_ARGUMENT, plan->max_sequences, " sequences of ", plan->context_length,
                " tokens are more than the engine can address");
  }
  plan->batch = static_cast<uint32_t>(
      std::min<uint64_t>(std::max(options.batch, plan->max_sequences), plan->cache_tokens));
  return Ok();
}

// Scratch memory of one step; measured factors, see the README.
uint64_t ComputeBytes(const Shape& shape, const ModelPlan& plan) {
  const uint64_t activations =
      Times(plan.batch, Plus(Times(10, shape.width), Times(4, shape.feed_forward)), 4);
  const uint64_t attended = plan.cache_tokens == 0 ? plan.batch : plan.cache_tokens;
  uint64_t attention = Times(plan.batch, attended, 8);  // masks
  if (plan.architecture == "grok" || plan.embeds) {
    attention = Plus(
        attention, Times(plan.batch, attended, shape.heads, 8));  // no fused attention: whole score matrices
  }
  const uint64_t outputs = plan.embeds
                               ? Times(plan.batch, shape.width, 8)
                               : Times(Plus(plan.max_sequences, 1), shape.vocabulary, 2 * sizeof(float) + 16);
  const uint64_t vocabulary = Times(shape.vocabulary, 512);  // texts, their index, merges
  const uint64_t threads = Times(plan.n_threads, 1 << 20);
  return Plus(Plus(Plus(activations, attention), Plus(outputs, vocabulary)), Plus(threads, 32 << 20));
}

// Kinds whose rows the engine interleaves on some CPU.
bool CanRepack(int32_t type) {
  switch (type) {
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q8_0:
    case GGML_TYPE_Q2_K:
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K:
    case GGML_TYPE_Q6_K:
    case GGML_TYPE_IQ4_NL:
    case GGML_TYPE_MXFP4:
    case GGML_TYPE_Q1_0:
      return true;
    default:
      return false;
  }
}

// Kinds that repacking makes faster; for others it brings nothing or slows them down (README, "Repacking").
bool GainsFromRepacking(int32_t type) { return type == GGML_TYPE_Q4_0 || type == GGML_TYPE_IQ4_NL; }

void CountTensors(const std::vector<GgufHeader>& headers, const LoadOptions& options, ModelPlan* plan) {
  uint64_t weights = 0;
  uint64_t gaining = 0;
  uint64_t repackable = 0;
  for (const GgufHeader& header : headers) {
    plan->mapped_bytes = Plus(plan->mapped_bytes, header.file_bytes());
    for (const GgufTensor& tensor : header.tensors()) {
      const uint64_t elements =
          Times(static_cast<uint64_t>(tensor.dims[0]), static_cast<uint64_t>(tensor.dims[1]),
                static_cast<uint64_t>(tensor.dims[2]), static_cast<uint64_t>(tensor.dims[3]));
      plan->parameter_count = Plus(plan->parameter_count, elements);
      weights = Plus(weights, tensor.size_bytes);
      if (GainsFromRepacking(tensor.type)) gaining = Plus(gaining, tensor.size_bytes);
      if (CanRepack(tensor.type)) repackable = Plus(repackable, tensor.size_bytes);
    }
  }
  plan->repack = options.repack == Repack::kOn || (options.repack == Repack::kAuto && gaining > weights / 2);
  plan->repacked_bytes = plan->repack ? repackable : 0;
  plan->n_threads = options.n_threads != 0 ? options.n_threads : DefaultThreads(options.cpus, weights);
}

}  // namespace

uint64_t ModelPlan::private_bytes() const { return Plus(Plus(cache_bytes, repacked_bytes), compute_bytes); }

Status MakePlan(const std::vector<GgufHeader>& headers, const LoadOptions& options, ModelPlan* plan) {
  const Reader reader(headers.front());
  ModelPlan made;
  Shape shape;
  if (Status status = CheckKind(reader); !status.ok()) return status;
  if (Status status = ReadShape(reader, &shape); !status.ok()) return status;
  made.architecture = reader.arch();
  if (Status status = ChoosePooling(reader, options, shape, &made); !status.ok()) return status;
  const uint64_t per_token = CacheBytesPerToken(reader, shape);
  const uint64_t per_sequence = StateBytesPerSequence(reader, shape);
  if (Status status = ChooseSizes(options, shape, per_token, per_sequence, &made); !status.ok())
    return status;
  made.cache_bytes = Plus(Times(made.cache_tokens, per_token), Times(made.max_sequences, per_sequence));
  if (made.embeds) {
    made.embedding_length = static_cast<uint32_t>(reader.Largest("embedding_length_out", shape.width));
  }
  CountTensors(headers, options, &made);
  made.compute_bytes = ComputeBytes(shape, made);
  *plan = std::move(made);
  return Ok();
}

}  // namespace mlos::llama
