// SPDX-License-Identifier: Apache-2.0
// A loaded model: the engine's model and context, the loop that works on its calls, what it tells about itself.
#pragma once

#include <memory>
#include <string>

#include "call.h"
#include "chat.h"
#include "decode_loop.h"
#include "embed_loop.h"
#include "llama.h"
#include "options.h"
#include "plan.h"
#include "smi/smi.h"
#include "status.h"
#include "vocabulary.h"

namespace mlos::llama {

struct ModelDeleter {
  void operator()(llama_model* model) const { llama_model_free(model); }
  void operator()(llama_context* context) const { llama_free(context); }
};

// Makes the plan for load parameters from the files' headers.
Status PlanModel(const smi_load_params* params, LoadOptions* options, ModelPlan* plan);

// loading --Load()--> ready --(no call runs)--> gone. Functions are for any thread unless they say otherwise.
class Model {
 public:
  static Status Load(const smi_load_params* params, std::unique_ptr<Model>* model);
  // No call runs and this is not the loop's thread: CheckIdle() says so.
  ~Model() = default;

  const smi_model_info& info() const { return info_; }
  Status CheckIdle() const;
  Status Generate(const smi_generate_params& params, const smi_text_sink& sink, smi_call** call);
  Status Execute(const smi_execute_params& params, const smi_output_sink& sink, smi_call** call);
  Status Tokenize(smi_str text, int32_t* ids, uint64_t capacity, uint64_t* n) const;
  void Stats(smi_model_stats* stats) const;

 private:
  Model(LoadOptions options, ModelPlan plan) : options_(std::move(options)), plan_(std::move(plan)) {}
  Status LoadEngine();
  Status MakeContext();
  Status StartLoop();
  void ReadChatTemplate();
  void Describe();
  Status MakePrompt(const smi_generate_params& params, std::vector<int32_t>* tokens) const;

  // Constant after Load()
  LoadOptions options_;
  ModelPlan plan_;
  std::unique_ptr<llama_model, ModelDeleter> model_;
  std::unique_ptr<llama_context, ModelDeleter> context_;
  std::unique_ptr<Vocabulary> vocabulary_;
  std::unique_ptr<ChatTemplate> chat_;
  Status chat_status_;  // why there is no chat_
  std::string chat_source_;
  smi_model_info info_{};
  int64_t vector_shape_[2] = {-1, 0};
  smi_tensor_spec input_{};
  smi_tensor_spec output_{};

  Counters counters_;
  // One of the two; they end first.
  std::unique_ptr<DecodeLoop> decode_;
  std::unique_ptr<EmbedLoop> embed_;
};

}  // namespace mlos::llama
