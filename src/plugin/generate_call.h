// SPDX-License-Identifier: Apache-2.0
// A running generate(): text in, text out, piece by piece.
#pragma once

#include <string>
#include <vector>

#include "plugin/call.h"

namespace mlos::plugin {

class GenerateCall final : public Call {
 public:
  // request.generation is filled.
  GenerateCall(CallContext context, Request request, std::unique_ptr<ResponseSink> sink,
               std::function<void(bool ok)> on_over);

 private:
  smi_code Invoke(void* ctx, smi_call** slot, smi_error* error) override;
  Status Complete(Response* response) override MLOS_REQUIRES(sink_mu_);

  // What the plugin calls.
  static smi_code OnText(void* ctx, smi_str piece, uint32_t n_tokens);
  static void OnDone(void* ctx, smi_code code, const smi_error* error, const smi_generate_result* result);

  std::string text_ MLOS_GUARDED_BY(sink_mu_);
  // Of the result that came with done(): set before Finish, read by Complete.
  FinishReason finish_ = FinishReason::kNone;
  uint32_t prompt_tokens_ = 0;
  uint32_t completion_tokens_ = 0;
};

}  // namespace mlos::plugin
