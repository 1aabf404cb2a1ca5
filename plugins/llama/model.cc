// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <algorithm>

#include "assertions.h"
#include "log.h"
#include "splits.h"

namespace mlos::llama {
namespace {

constexpr int64_t kTextShape[] = {-1};
constexpr smi_str kTextDims[] = {{"batch", 5}};
constexpr smi_str kVectorDims[] = {{"batch", 5}, {"", 0}};
constexpr std::string_view kTextHelp = "sentences; none may have more tokens than the context";

smi_str Str(std::string_view text) { return {text.data(), text.size()}; }

std::string Why(const ErrorCapture& errors) {
  return errors.text().empty() ? "no reason given" : errors.text();
}

}  // namespace

Status PlanModel(const smi_load_params* params, LoadOptions* options, ModelPlan* plan) {
  std::vector<GgufHeader> headers;
  if (Status status = ParseLoadParams(params, options); !status.ok()) return status;
  if (Status status = ReadHeaders(options->path, &headers); !status.ok()) return status;
  return MakePlan(headers, *options, plan);
}

Status Model::Load(const smi_load_params* params, std::unique_ptr<Model>* model) {
  LoadOptions options;
  ModelPlan plan;
  if (Status status = PlanModel(params, &options, &plan); !status.ok()) return status;
  std::unique_ptr<Model> made(new Model(std::move(options), std::move(plan)));
  for (Status (Model::*step)() : {&Model::LoadEngine, &Model::MakeContext, &Model::StartLoop}) {
    if (Status status = (made.get()->*step)(); !status.ok()) return status;
  }
  *model = std::move(made);
  return Ok();
}

Status Model::LoadEngine() {
  llama_model_params params = llama_model_default_params();
  params.load_mode = LLAMA_LOAD_MODE_MMAP;
  params.use_extra_bufts = plan_.repack;
  params.n_gpu_layers = 0;
  ErrorCapture errors;
  AssertionsThrow assertions;
  model_.reset(llama_model_load_from_file(options_.path.c_str(), params));
  if (model_ == nullptr) {
    const std::string why = Why(errors);
    const bool unknown = why.find("unknown model architecture") != std::string::npos;
    return Fail(unknown ? SMI_UNSUPPORTED : SMI_CORRUPT, options_.path,
                ": llama.cpp cannot load the model: ", why);
  }
  if (llama_model_has_encoder(model_.get()) && !plan_.embeds) {
    return Fail(SMI_UNSUPPORTED, "'", plan_.architecture,
                "' models (encoder and decoder) are not supported yet");
  }
  if (llama_model_is_diffusion(model_.get())) {
    return Fail(SMI_UNSUPPORTED, "'", plan_.architecture, "' models (text diffusion) are not supported yet");
  }
  vocabulary_ = std::make_unique<Vocabulary>(llama_model_get_vocab(model_.get()));
  return Ok();
}

Status Model::MakeContext() {
  llama_context_params params = llama_context_default_params();
  const auto threads = static_cast<int32_t>(plan_.n_threads);
  params.n_ctx = static_cast<uint32_t>(std::max<uint64_t>(plan_.cache_tokens, plan_.batch));
  params.n_batch = plan_.batch;
  params.n_ubatch = plan_.batch;
  params.n_seq_max = plan_.max_sequences;
  params.n_threads = threads;
  params.n_threads_batch = threads;
  // One pool of cells: sequences that come and go never leave holes that split a step.
  params.kv_unified = true;
  params.no_perf = true;
  if (plan_.embeds) {
    params.embeddings = true;
    params.pooling_type = static_cast<enum llama_pooling_type>(plan_.pooling);
  } else {
    params.n_outputs_max = plan_.max_sequences;
  }
  ErrorCapture errors;
  AssertionsThrow assertions;
  context_.reset(llama_init_from_model(model_.get(), params));
  if (context_ != nullptr) return Ok();
  return Fail(SMI_OUT_OF_MEMORY, "llama.cpp cannot make a context of ", plan_.max_sequences, " x ",
              plan_.context_length, " tokens (about ", plan_.private_bytes() >> 20, " MiB): ", Why(errors));
}

Status Model::StartLoop() {
  if (plan_.embeds) {
    plan_.embedding_length = static_cast<uint32_t>(llama_model_n_embd_out(model_.get()));
    embed_ =
        std::make_unique<EmbedLoop>(context_.get(),
                                    EmbedLimits{.max_sequences = plan_.max_sequences,
                                                .batch = std::min(llama_n_batch(context_.get()), plan_.batch),
                                                .max_queue = options_.max_queue,
                                                .n_threads = plan_.n_threads,
                                                .width = plan_.embedding_length,
                                                .normalize = options_.normalize},
                                    &counters_);
  } else {
    ReadChatTemplate();
    decode_ =
        std::make_unique<DecodeLoop>(context_.get(), *vocabulary_,
                                     LoopLimits{.max_sequences = plan_.max_sequences,
                                                .batch = std::min(llama_n_batch(context_.get()), plan_.batch),
                                                .max_queue = options_.max_queue},
                                     &counters_);
  }
  Describe();
  return Ok();
}

void Model::ReadChatTemplate() {
  const char* source = llama_model_chat_template(model_.get(), nullptr);
  if (source == nullptr || *source == '\0') {
    chat_status_ = Fail(SMI_UNSUPPORTED,
                        "the model file holds no chat template, so messages cannot be turned into a prompt; "
                        "give a prompt instead");
    return;
  }
  chat_source_ = source;
  chat_status_ = ChatTemplate::Parse(chat_source_, *vocabulary_, &chat_);
  if (!chat_status_.ok()) Log(LogLevel::kWarning, chat_status_.message);
}

void Model::Describe() {
  info_.struct_size = sizeof info_;
  info_.capabilities = SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
  info_.context_length = plan_.context_length;
  info_.parameter_count = llama_model_n_params(model_.get());
  info_.architecture = Str(plan_.architecture);
  info_.chat_template = Str(chat_source_);
  info_.batch_dimension = -1;
  if (!plan_.embeds) {
    info_.capabilities |= SMI_CAP_GENERATE;
    if (chat_ != nullptr) info_.capabilities |= SMI_CAP_CHAT_TEMPLATE;
    return;
  }
  info_.capabilities |= SMI_CAP_EXECUTE;
  info_.embedding_length = plan_.embedding_length;
  info_.batch_dimension = 0;
  info_.preferred_batch = 16;
  vector_shape_[1] = plan_.embedding_length;
  input_ = {sizeof input_, SMI_BYTES, Str("text"), kTextShape, kTextDims, 1, 0, Str(kTextHelp)};
  output_ = {
      sizeof output_,
      SMI_FP32,
      Str("embedding"),
      vector_shape_,
      kVectorDims,
      2,
      0,
      Str(options_.normalize ? "one vector of length 1 for each sentence" : "one vector for each sentence")};
  info_.inputs = &input_;
  info_.outputs = &output_;
  info_.n_inputs = info_.n_outputs = 1;
}

Status Model::CheckIdle() const {
  const uint32_t running = counters_.running;
  if (running != 0)
    return Fail(SMI_WRONG_STATE, running, " calls of the model are running: wait for them or cancel them");
  if ((decode_ && decode_->OnLoopThread()) || (embed_ && embed_->OnLoopThread())) {
    return Fail(SMI_WRONG_STATE, "a model cannot be unloaded from inside done() of one of its calls");
  }
  return Ok();
}

Status Model::MakePrompt(const smi_generate_params& params, std::vector<int32_t>* tokens) const {
  if (params.n_messages > 0) {
    std::vector<PromptPart> parts;
    if (chat_ == nullptr) return chat_status_;
    if (Status status = chat_->Render(params.messages, params.n_messages, &parts); !status.ok())
      return status;
    if (Status status = TokenizePrompt(parts, *vocabulary_, tokens); !status.ok()) return status;
  } else {
    const std::string_view prompt(params.prompt.data == nullptr ? "" : params.prompt.data,
                                  params.prompt.size);
    if (Status status = vocabulary_->Tokenize(prompt, true, Special::kParse, tokens); !status.ok())
      return status;
  }
  if (tokens->empty()) return Fail(SMI_BAD_INPUT, "the prompt is empty");
  if (tokens->size() >= plan_.context_length) {
    return Fail(SMI_BAD_INPUT, "the prompt has ", tokens->size(), " tokens, the model's context holds ",
                plan_.context_length, " with at least one for the answer");
  }
  return Ok();
}

Status Model::Generate(const smi_generate_params& params, const smi_text_sink& sink, smi_call** call) {
  if (decode_ == nullptr) {
    return Fail(SMI_UNSUPPORTED, "'", plan_.architecture,
                "' is loaded as an embedding model: it does not generate text");
  }
  GenerationParams parsed;
  std::vector<int32_t> tokens;
  if (Status status = ParseGenerateParams(params, &parsed); !status.ok()) return status;
  if (Status status = MakePrompt(params, &tokens); !status.ok()) return status;
  auto made = std::make_unique<Generation>(std::move(parsed), std::move(tokens), plan_.context_length, sink);
  if (call != nullptr) *call = made.get();
  Status status = decode_->Submit(std::move(made));
  if (!status.ok() && call != nullptr) *call = nullptr;
  return status;
}

Status Model::Execute(const smi_execute_params& params, const smi_output_sink& sink, smi_call** call) {
  if (embed_ == nullptr) {
    return Fail(SMI_UNSUPPORTED, "'", plan_.architecture,
                "' is a language model: it generates text, it takes no tensors");
  }
  std::unique_ptr<Embedding> made;
  Status status = Embedding::Make(params, sink, *vocabulary_, plan_.context_length, &made);
  if (!status.ok()) return status;
  if (call != nullptr) *call = made.get();
  status = embed_->Submit(std::move(made));
  if (!status.ok() && call != nullptr) *call = nullptr;
  return status;
}

Status Model::Tokenize(smi_str text, int32_t* ids, uint64_t capacity, uint64_t* n) const {
  std::vector<int32_t> tokens;
  const std::string_view view(text.data == nullptr ? "" : text.data, text.size);
  const Special special = plan_.embeds ? Special::kPlainText : Special::kParse;
  if (Status status = vocabulary_->Tokenize(view, true, special, &tokens); !status.ok()) return status;
  std::copy_n(tokens.begin(), std::min<uint64_t>(capacity, tokens.size()), ids);
  *n = tokens.size();
  return Ok();
}

void Model::Stats(smi_model_stats* stats) const {
  smi_model_stats filled{};
  filled.struct_size = sizeof filled;
  filled.running = counters_.running;
  filled.calls_ok = counters_.calls_ok;
  filled.calls_failed = counters_.calls_failed;
  filled.busy_ns = counters_.busy_ns;
  filled.tokens_prompt = counters_.tokens_prompt;
  filled.tokens_generated = counters_.tokens_generated;
  *stats = filled;
}

}  // namespace mlos::llama
