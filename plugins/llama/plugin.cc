// SPDX-License-Identifier: Apache-2.0
// The SMI table: checks of arguments, and the wall that no exception passes.
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "assertions.h"
#include "llama.h"
#include "log.h"
#include "model.h"
#include "smi/plugin_util.h"
#include "status.h"

struct smi_plugin {
  std::atomic<uint32_t> models{0};
};

struct smi_model {
  smi_plugin* plugin;
  std::unique_ptr<mlos::llama::Model> model;
};

namespace mlos::llama {
namespace {

constexpr smi_str Str(const char* text) { return {text, __builtin_strlen(text)}; }

constexpr smi_str kFormats[] = {Str("gguf")};
constexpr smi_str kFrameworks[] = {Str("llama.cpp"), Str("gguf")};

// Runs `work` and turns what comes out of it, exceptions too, into a code and *error.
template <typename Work>
smi_code Guarded(smi_error* error, Work work) {
  try {
    return Report(work(), error);
  } catch (const std::bad_alloc&) {
    return Report({SMI_OUT_OF_MEMORY, "out of memory"}, error);
  } catch (const std::exception& failure) {
    return Report(Fail(SMI_INTERNAL, "the llama plugin failed: ", failure.what()), error);
  } catch (...) {
    return Report({SMI_INTERNAL, "the llama plugin failed"}, error);
  }
}

Status Missing(const char* what) { return Fail(SMI_INVALID_ARGUMENT, what, " is missing or too short"); }

smi_code Open(const smi_host_api* host, const smi_option* options, uint32_t n_options, smi_plugin** plugin,
              smi_error* error) {
  return Guarded(error, [&] {
    if (host == nullptr || !SMI_HAS(host, smi_host_api, log) || plugin == nullptr)
      return Missing("the host's table");
    if (n_options > 0) {
      return Fail(SMI_INVALID_ARGUMENT, "the llama plugin has no option '",
                  std::string_view(options[0].name.data, options[0].name.size),
                  "' to open it with; it has none");
    }
    auto opened = std::make_unique<smi_plugin>();
    StartLogging(host);
    CatchAssertions();
    llama_backend_init();
    *plugin = opened.release();
    return Ok();
  });
}

smi_code Close(smi_plugin* plugin, smi_error* error) {
  return Guarded(error, [&] {
    if (plugin == nullptr) return Missing("the plugin");
    if (plugin->models != 0) {
      return Fail(SMI_WRONG_STATE, plugin->models.load(),
                  " models of the llama plugin are loaded: unload them first");
    }
    StopLogging();
    delete plugin;
    return Ok();
  });
}

const smi_plugin_info* DescribePlugin(smi_plugin*) {
  static const smi_plugin_info info = [] {
    smi_plugin_info made{};
    made.struct_size = sizeof made;
    made.capabilities =
        SMI_CAP_EXECUTE | SMI_CAP_GENERATE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT | SMI_CAP_CHAT_TEMPLATE;
    made.name = Str("llama");
    made.version = Str(MLOS_VERSION);
    made.engine_version = Str(llama_version());
    made.formats = kFormats;
    made.frameworks = kFrameworks;
    made.n_formats = std::size(kFormats);
    made.n_frameworks = std::size(kFrameworks);
    return made;
  }();
  return &info;
}

smi_code Estimate(smi_plugin*, const smi_load_params* params, smi_estimate* out, smi_error* error) {
  if (const smi_code bad = smi_check_load(params, error); bad != SMI_OK) return bad;
  return Guarded(error, [&] {
    if (out == nullptr || !SMI_HAS(out, smi_estimate, per_call_bytes)) return Missing("the estimate");
    LoadOptions options;
    ModelPlan plan;
    if (Status status = PlanModel(params, &options, &plan); !status.ok()) return status;
    out->reserved = 0;
    out->private_bytes = plan.private_bytes();
    out->mapped_bytes = plan.mapped_bytes;
    out->device_bytes = 0;
    out->per_call_bytes =
        64 * uint64_t{plan.context_length};  // the prompt's tokens and text; the rest is taken at load
    return Ok();
  });
}

smi_code Load(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error) {
  if (const smi_code bad = smi_check_load(params, error); bad != SMI_OK) return bad;
  return Guarded(error, [&] {
    if (plugin == nullptr || model == nullptr) return Missing("the plugin or the place for the model");
    auto loaded = std::make_unique<smi_model>();
    loaded->plugin = plugin;
    if (Status status = Model::Load(params, &loaded->model); !status.ok()) return status;
    ++plugin->models;
    *model = loaded.release();
    return Ok();
  });
}

smi_code Unload(smi_model* model, smi_error* error) {
  return Guarded(error, [&] {
    if (model == nullptr) return Missing("the model");
    if (Status status = model->model->CheckIdle(); !status.ok()) return status;
    --model->plugin->models;
    delete model;
    return Ok();
  });
}

const smi_model_info* DescribeModel(smi_model* model) { return &model->model->info(); }

smi_code Execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                 smi_call** call, smi_error* error) {
  if (const smi_code bad = smi_check_execute(params, sink, error); bad != SMI_OK) return bad;
  return Guarded(error, [&] {
    if (model == nullptr) return Missing("the model");
    return model->model->Execute(*params, *sink, call);
  });
}

smi_code Generate(smi_model* model, const smi_generate_params* params, const smi_text_sink* sink,
                  smi_call** call, smi_error* error) {
  if (const smi_code bad = smi_check_generate(params, sink, error); bad != SMI_OK) return bad;
  return Guarded(error, [&] {
    if (model == nullptr) return Missing("the model");
    return model->model->Generate(*params, *sink, call);
  });
}

void Cancel(smi_model*, smi_call* call) {
  if (call != nullptr) call->cancelled = true;
}

smi_code ModelStats(smi_model* model, smi_model_stats* out, smi_error* error) {
  return Guarded(error, [&] {
    if (model == nullptr) return Missing("the model");
    if (out == nullptr || !SMI_HAS(out, smi_model_stats, private_bytes)) return Missing("the statistics");
    const uint32_t size = out->struct_size;
    model->model->Stats(out);
    out->struct_size = size;
    return Ok();
  });
}

smi_code Tokenize(smi_model* model, smi_str text, int32_t* ids, uint64_t capacity, uint64_t* n,
                  smi_error* error) {
  return Guarded(error, [&] {
    if (model == nullptr || n == nullptr || (ids == nullptr && capacity > 0))
      return Missing("an argument of tokenize");
    return model->model->Tokenize(text, ids, capacity, n);
  });
}

constexpr smi_plugin_api kApi = {
    .struct_size = sizeof(smi_plugin_api),
    .version = SMI_VERSION,
    .open = &Open,
    .close = &Close,
    .describe = &DescribePlugin,
    .estimate = &Estimate,
    .load = &Load,
    .unload = &Unload,
    .describe_model = &DescribeModel,
    .execute = &Execute,
    .generate = &Generate,
    .cancel = &Cancel,
    .model_stats = &ModelStats,
    .tokenize = &Tokenize,
};

}  // namespace
}  // namespace mlos::llama

const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  using mlos::llama::Fail;
  if (host_version >> 16 != SMI_VERSION_MAJOR) {
    mlos::llama::Report(Fail(SMI_UNSUPPORTED, "the llama plugin speaks SMI ", SMI_VERSION_MAJOR,
                             ", the host ", host_version >> 16),
                        error);
    return nullptr;
  }
  return &mlos::llama::kApi;
}
