// SPDX-License-Identifier: Apache-2.0
// A running execute(): tensors in, tensors out.
#pragma once

#include <vector>

#include "infer/model_interface.h"
#include "plugin/call.h"
#include "plugin/output_collector.h"

namespace mlos::plugin {

class ExecuteCall final : public Call {
 public:
  // The request's inputs and outputs have been checked against `interface`, which must outlive the call.
  ExecuteCall(CallContext context, const ModelInterface& interface, Request request,
              std::unique_ptr<ResponseSink> sink, std::function<void(bool ok)> on_over);

 private:
  smi_code Invoke(void* ctx, smi_call** slot, smi_error* error) override;
  Status Complete(Response* response) override MLOS_REQUIRES(sink_mu_);

  // What the plugin calls.
  static smi_code OnOutput(void* ctx, const smi_tensor* tensor, uint32_t part);
  static void OnDone(void* ctx, smi_code code, const smi_error* error, const smi_timing* timing);
  static void* OnReserve(void* ctx, smi_str name, uint64_t size_bytes);

  // Borrowed by the plugin until done().
  std::vector<smi_tensor> inputs_;
  std::vector<smi_str> wanted_;
  OutputCollector outputs_ MLOS_GUARDED_BY(sink_mu_);
};

}  // namespace mlos::plugin
