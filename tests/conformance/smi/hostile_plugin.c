/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that breaks SMI's rules, for tests that the host holds. The option `lie` of load() says how.
 * Built several times: HOSTILE_VERSION, HOSTILE_SHORT_TABLE, HOSTILE_NO_LOAD, HOSTILE_BAD_NAME and HOSTILE_NO_EXECUTE make
 * libraries that must not even be opened.
 */
#include <pthread.h>
#include <stdlib.h>

#include "smi/plugin_util.h"

#ifndef HOSTILE_VERSION
#define HOSTILE_VERSION SMI_VERSION
#endif

struct smi_plugin {
  int unused;
};
struct smi_model {
  char lie[64];
  smi_model_info info;
};

static smi_plugin the_plugin;
static smi_host_api the_host;

static const smi_str formats[] = {{"hostile", 7}};
static const smi_plugin_info plugin_info = {
    .struct_size = sizeof(smi_plugin_info),
    .capabilities = SMI_CAP_EXECUTE | SMI_CAP_GENERATE,
#ifdef HOSTILE_BAD_NAME
    .name = {"Bad Name", 8},
#else
    .name = {"hostile", 7},
#endif
    .version = {"1", 1},
    .formats = formats,
    .n_formats = 1,
};

static const int64_t x_shape[] = {-1};
static const int64_t y_shape[] = {-1, 2};
static const int64_t below_zero[] = {-7};
static const smi_tensor_spec inputs[] = {{.struct_size = sizeof(smi_tensor_spec),
                                          .dtype = SMI_FP32,
                                          .name = {"x", 1},
                                          .shape = x_shape,
                                          .rank = 1}};
static const smi_tensor_spec outputs[] = {{.struct_size = sizeof(smi_tensor_spec),
                                           .dtype = SMI_FP32,
                                           .name = {"y", 1},
                                           .shape = y_shape,
                                           .rank = 2},
                                          {.struct_size = sizeof(smi_tensor_spec),
                                           .dtype = SMI_BYTES,
                                           .name = {"s", 1},
                                           .shape = x_shape,
                                           .rank = 1}};
static const smi_tensor_spec twins[] = {{.struct_size = sizeof(smi_tensor_spec),
                                         .dtype = SMI_FP32,
                                         .name = {"x", 1},
                                         .shape = x_shape,
                                         .rank = 1},
                                        {.struct_size = sizeof(smi_tensor_spec),
                                         .dtype = SMI_FP32,
                                         .name = {"x", 1},
                                         .shape = x_shape,
                                         .rank = 1}};
static const smi_tensor_spec odd_dtype[] = {
    {.struct_size = sizeof(smi_tensor_spec), .dtype = 99, .name = {"x", 1}, .shape = x_shape, .rank = 1}};
static const smi_tensor_spec odd_rank[] = {{.struct_size = sizeof(smi_tensor_spec),
                                            .dtype = SMI_FP32,
                                            .name = {"x", 1},
                                            .shape = x_shape,
                                            .rank = 1000000}};
static const smi_tensor_spec odd_shape[] = {{.struct_size = sizeof(smi_tensor_spec),
                                             .dtype = SMI_FP32,
                                             .name = {"x", 1},
                                             .shape = below_zero,
                                             .rank = 1}};
static const smi_tensor_spec nameless[] = {
    {.struct_size = sizeof(smi_tensor_spec), .dtype = SMI_FP32, .shape = x_shape, .rank = 1}};
static const smi_tensor_spec stunted[] = {{.struct_size = 8, .dtype = SMI_FP32, .name = {"x", 1}}};

static int lies(const smi_model* model, const char* how) { return strcmp(model->lie, how) == 0; }

static smi_code hostile_open(const smi_host_api* host, const smi_option* options, uint32_t n_options,
                             smi_plugin** plugin, smi_error* error) {
  (void)options;
  if (n_options > 0) return smi_fail(error, SMI_INVALID_ARGUMENT, "no options here");
  the_host = *host;
  *plugin = &the_plugin;
  return SMI_OK;
}

static smi_code hostile_close(smi_plugin* plugin, smi_error* error) {
  (void)plugin;
  (void)error;
  return SMI_OK;
}

static const smi_plugin_info* hostile_describe(smi_plugin* plugin) {
  (void)plugin;
  return &plugin_info;
}

static smi_code hostile_estimate(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out,
                                 smi_error* error) {
  (void)plugin;
  (void)params;
  (void)out;
  if (error != NULL) memset(error->message, 'x', sizeof error->message); /* no NUL anywhere */
  return 12345;
}

static void describe(smi_model* model) {
  smi_model_info* info = &model->info;
  info->struct_size = sizeof *info;
  info->capabilities = SMI_CAP_EXECUTE | SMI_CAP_GENERATE | SMI_CAP_CONCURRENT;
  info->inputs = inputs;
  info->n_inputs = 1;
  info->outputs = outputs;
  info->n_outputs = 2;
  info->batch_dimension = lies(model, "describe_batch") ? 5 : -1;
  if (lies(model, "describe_twins")) info->inputs = twins, info->n_inputs = 2;
  if (lies(model, "describe_dtype")) info->inputs = odd_dtype;
  if (lies(model, "describe_rank")) info->inputs = odd_rank;
  if (lies(model, "describe_shape")) info->inputs = odd_shape;
  if (lies(model, "describe_nameless")) info->inputs = nameless;
  if (lies(model, "describe_stunted")) info->inputs = stunted;
  if (lies(model, "describe_count")) info->n_inputs = 0xFFFFFFFFu;
  if (lies(model, "describe_null_inputs")) info->inputs = NULL;
  if (lies(model, "describe_short")) info->struct_size = 12;
  if (lies(model, "one_at_a_time")) info->capabilities &= ~(uint32_t)SMI_CAP_CONCURRENT;
}

static smi_code hostile_load(smi_plugin* plugin, const smi_load_params* params, smi_model** model,
                             smi_error* error) {
  (void)plugin;
  smi_model* made = calloc(1, sizeof *made);
  if (made == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory");
  if (params->n_options == 1 && params->options[0].value.size < sizeof made->lie) {
    memcpy(made->lie, params->options[0].value.data, params->options[0].value.size);
  }
  describe(made);
  if (lies(made, "load_null")) {
    free(made);
    made = NULL;
  }
  *model = made;
  return SMI_OK;
}

static smi_code hostile_unload(smi_model* model, smi_error* error) {
  (void)error;
  free(model);
  return SMI_OK;
}

static const smi_model_info* hostile_describe_model(smi_model* model) {
  return lies(model, "describe_null") ? NULL : &model->info;
}

/* The truthful answer is y = [[1, 2], [3, 4]] and s = ["a", "b"]; one member of one of them is then changed. */
static void send_outputs(const smi_model* model, const smi_output_sink* sink) {
  static float values[] = {1, 2, 3, 4};
  static char strings[] = {1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b'};
  int64_t shape_y[] = {2, 2};
  const int64_t shape_s[] = {2};
  smi_tensor y = {sizeof y, SMI_FP32, {"y", 1}, shape_y, 2, SMI_MEMORY_HOST, 0, 0, values, sizeof values};
  smi_tensor s = {sizeof s, SMI_BYTES, {"s", 1}, shape_s, 1, SMI_MEMORY_HOST, 0, 0, strings, sizeof strings};
  if (lies(model, "dtype")) y.dtype = SMI_INT32;
  if (lies(model, "unknown_dtype")) y.dtype = 77;
  if (lies(model, "size_small")) y.size_bytes = 8;
  if (lies(model, "size_huge")) y.size_bytes = UINT64_MAX;
  if (lies(model, "shape_fixed")) shape_y[0] = 1, shape_y[1] = 4;
  if (lies(model, "shape_negative")) shape_y[0] = -2;
  if (lies(model, "shape_overflow")) shape_y[0] = INT64_MAX;
  if (lies(model, "rank")) y.rank = 1;
  if (lies(model, "rank_huge")) y.rank = UINT32_MAX;
  if (lies(model, "shape_null")) y.shape = NULL;
  if (lies(model, "data_null")) y.data = NULL;
  if (lies(model, "memory")) y.memory = SMI_MEMORY_CUDA;
  if (lies(model, "name")) y.name = smi_text("z");
  if (lies(model, "name_null")) y.name.data = NULL;
  if (lies(model, "struct_small")) y.struct_size = 4;
  if (lies(model, "string_length")) s.data = values, s.size_bytes = 16;
  if (lies(model, "string_short")) s.size_bytes = 9;
  if (lies(model, "null_tensor")) sink->output(sink->ctx, NULL, 0);
  if (lies(model, "reserve_overrun")) {
    sink->reserve(sink->ctx, y.name, 8);
    y.data = sink->reserve(sink->ctx, y.name, 8) == NULL ? values : NULL; /* a second reservation must fail */
  }
  if (lies(model, "parts")) {
    shape_y[0] = 1;
    y.size_bytes = 8;
    sink->output(sink->ctx, &y, 1);
    y.data = values + 2;
    sink->output(sink->ctx, &y, 2 | SMI_PART_LAST);
  } else if (lies(model, "parts_gap")) {
    sink->output(sink->ctx, &y, 3);
  } else if (!lies(model, "no_output")) {
    sink->output(sink->ctx, &y, 0);
  }
  if (lies(model, "twice")) sink->output(sink->ctx, &y, 0);
  sink->output(sink->ctx, &s, 0);
}

typedef struct late_call {
  smi_output_sink sink;
  smi_model* model;
} late_call;

static void* answer_from_thread(void* argument) {
  late_call* call = argument;
  const smi_output_sink sink = call->sink;
  send_outputs(call->model, &sink);
  free(call);
  /* The model may be gone after the first done(). */
  sink.done(sink.ctx, SMI_OK, NULL, NULL);
  sink.done(sink.ctx, SMI_OK, NULL, NULL);
  the_host.log(the_host.host, 1, smi_text("second done() returned"));
  return NULL;
}

static smi_code hostile_execute(smi_model* model, const smi_execute_params* params,
                                const smi_output_sink* sink, smi_call** call, smi_error* error) {
  (void)params;
  (void)call;
  if (lies(model, "refuse_unfilled")) return SMI_INTERNAL;
  if (lies(model, "refuse_unknown")) return smi_fail(error, -5, "a code that does not exist");
  if (lies(model, "async_done_twice")) {
    late_call* late = malloc(sizeof *late);
    pthread_t thread;
    if (late == NULL) return SMI_OUT_OF_MEMORY;
    late->sink = *sink;
    late->model = model;
    if (pthread_create(&thread, NULL, answer_from_thread, late) != 0) return SMI_INTERNAL;
    pthread_detach(thread);
    return SMI_OK;
  }
  send_outputs(model, sink);
  sink->done(sink->ctx, lies(model, "fail_unfilled") ? SMI_INTERNAL : SMI_OK, NULL, NULL);
  if (lies(model, "done_twice")) sink->done(sink->ctx, SMI_INTERNAL, NULL, NULL);
  if (lies(model, "output_after_done")) send_outputs(model, sink);
  return lies(model, "done_then_refuse") ? SMI_INTERNAL : SMI_OK;
}

static smi_code hostile_generate(smi_model* model, const smi_generate_params* params,
                                 const smi_text_sink* sink, smi_call** call, smi_error* error) {
  const smi_generate_result result = {
      .struct_size = sizeof result, .finish = 42, .prompt_tokens = 1, .completion_tokens = 1};
  (void)params;
  (void)call;
  (void)error;
  sink->text(sink->ctx, smi_text(NULL), 0);
  sink->text(sink->ctx, smi_text("hello"), 1);
  sink->done(sink->ctx, SMI_OK, NULL, lies(model, "no_result") ? NULL : &result);
  sink->text(sink->ctx, smi_text("late"), 1);
  sink->done(sink->ctx, SMI_OK, NULL, &result);
  return SMI_OK;
}

static smi_code hostile_stats(smi_model* model, smi_model_stats* out, smi_error* error) {
  (void)model;
  (void)error;
  out->calls_ok = UINT64_MAX;
  return SMI_OK;
}

static const smi_plugin_api api = {
#ifdef HOSTILE_SHORT_TABLE
    .struct_size = 32,
#else
    .struct_size = sizeof api,
#endif
    .version = HOSTILE_VERSION,
    .open = hostile_open,
    .close = hostile_close,
    .describe = hostile_describe,
    .estimate = hostile_estimate,
#ifndef HOSTILE_NO_LOAD
    .load = hostile_load,
#endif
    .unload = hostile_unload,
    .describe_model = hostile_describe_model,
#ifndef HOSTILE_NO_EXECUTE
    .execute = hostile_execute,
#endif
    .generate = hostile_generate,
    .model_stats = hostile_stats,
};

SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  (void)host_version;
  (void)error;
  (void)&hostile_load;
  (void)&hostile_execute;
  return &api;
}
