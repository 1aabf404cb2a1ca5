/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest plugin that does everything SMI has: what comes in goes out again. It works on the calling thread. Its
 * models are text files, see echo_model.h; they make every dtype, rank, delay and kind of call testable without an engine.
 */
#include <stdlib.h>

#include "echo.h"
#include "smi/plugin_util.h"

static smi_plugin* the_plugin; /* set while open */
static pthread_mutex_t the_plugin_mutex = PTHREAD_MUTEX_INITIALIZER;

static const smi_str formats[] = {{"echo", 4}};
static const smi_plugin_info plugin_info = {
    .struct_size = sizeof(smi_plugin_info),
    .capabilities =
        SMI_CAP_EXECUTE | SMI_CAP_GENERATE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT | SMI_CAP_CHAT_TEMPLATE,
    .name = {"echo", 4},
    .version = {"1.0.0", 5},
    .formats = formats,
    .n_formats = 1,
};

/* --- plugin ---------------------------------------------------------------------------------------------------- */

static smi_code no_options(const smi_option* options, uint32_t n_options, smi_error* error) {
  if (n_options == 0) return SMI_OK;
  return smi_fail(error, SMI_INVALID_ARGUMENT, "unknown option '%.*s': the echo plugin has none",
                  SMI_ARG(options[0].name));
}

static smi_code echo_open(const smi_host_api* host, const smi_option* options, uint32_t n_options,
                          smi_plugin** plugin, smi_error* error) {
  if (host == NULL || !SMI_HAS(host, smi_host_api, log) || plugin == NULL ||
      (n_options > 0 && options == NULL)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the host's table is missing or smaller than in SMI 1.0");
  }
  const smi_code code = no_options(options, n_options, error);
  if (code != SMI_OK) return code;
  pthread_mutex_lock(&the_plugin_mutex);
  smi_plugin* made = the_plugin == NULL ? calloc(1, sizeof *made) : NULL;
  const int taken = the_plugin != NULL;
  if (made != NULL) {
    made->host = *host;
    pthread_mutex_init(&made->mutex, NULL);
    the_plugin = made;
  }
  pthread_mutex_unlock(&the_plugin_mutex);
  if (taken) return smi_fail(error, SMI_WRONG_STATE, "the plugin is open already");
  if (made == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for the plugin");
  *plugin = made;
  return SMI_OK;
}

static smi_code echo_close(smi_plugin* plugin, smi_error* error) {
  pthread_mutex_lock(&plugin->mutex);
  const uint32_t n_models = plugin->n_models;
  pthread_mutex_unlock(&plugin->mutex);
  if (n_models > 0) return smi_fail(error, SMI_WRONG_STATE, "%u models are loaded", n_models);
  pthread_mutex_lock(&the_plugin_mutex);
  the_plugin = NULL;
  pthread_mutex_unlock(&the_plugin_mutex);
  pthread_mutex_destroy(&plugin->mutex);
  free(plugin);
  return SMI_OK;
}

static const smi_plugin_info* echo_describe(smi_plugin* plugin) {
  (void)plugin;
  return &plugin_info;
}

/* --- models ---------------------------------------------------------------------------------------------------- */

static smi_code echo_estimate(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out,
                              smi_error* error) {
  (void)plugin;
  smi_code code = smi_check_load(params, error);
  if (code == SMI_OK) code = no_options(params->options, params->n_options, error);
  if (code != SMI_OK) return code;
  if (out == NULL || !SMI_HAS(out, smi_estimate, per_call_bytes)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the estimate is missing or smaller than in SMI 1.0");
  }
  echo_description* description = malloc(sizeof *description);
  if (description == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for a description");
  code = echo_read_model(params->path, description, error);
  free(description);
  if (code != SMI_OK) return code;
  out->reserved = 0;
  out->private_bytes = sizeof(smi_model);
  out->mapped_bytes = 0;
  out->device_bytes = 0;
  out->per_call_bytes = 65536;
  return SMI_OK;
}

static void describe(smi_model* model) {
  const uint32_t n_tensors = model->description.n_tensors;
  model->info.struct_size = sizeof model->info;
  model->info.capabilities = SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
  if (n_tensors > 0) model->info.capabilities |= SMI_CAP_EXECUTE;
  if (model->description.generates) model->info.capabilities |= SMI_CAP_GENERATE | SMI_CAP_CHAT_TEMPLATE;
  model->info.inputs = model->description.inputs;
  model->info.outputs = model->description.outputs;
  model->info.n_inputs = model->info.n_outputs = n_tensors;
  model->info.context_length = model->description.generates ? 4096 : 0;
  model->info.architecture = smi_text("echo");
  if (model->description.generates)
    model->info.chat_template = smi_text("contents of the messages, each on a line");
  int32_t batch = n_tensors > 0 ? 0 : -1;
  for (uint32_t i = 0; i < n_tensors; ++i) {
    const smi_tensor_spec* spec = &model->description.inputs[i];
    if (spec->rank == 0 || spec->shape[0] >= 0 || (spec->flags & SMI_SPEC_OPTIONAL)) batch = -1;
  }
  model->info.batch_dimension = batch;
}

static smi_code echo_load(smi_plugin* plugin, const smi_load_params* params, smi_model** model,
                          smi_error* error) {
  smi_code code = smi_check_load(params, error);
  if (code == SMI_OK) code = no_options(params->options, params->n_options, error);
  if (code != SMI_OK) return code;
  smi_model* made = calloc(1, sizeof *made);
  if (made == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for the model");
  code = echo_read_model(params->path, &made->description, error);
  if (code != SMI_OK) {
    free(made);
    return code;
  }
  made->plugin = plugin;
  made->stats.struct_size = sizeof made->stats;
  made->stats.private_bytes = sizeof *made;
  pthread_mutex_init(&made->mutex, NULL);
  pthread_cond_init(&made->left, NULL);
  describe(made);
  pthread_mutex_lock(&plugin->mutex);
  ++plugin->n_models;
  pthread_mutex_unlock(&plugin->mutex);
  *model = made;
  return SMI_OK;
}

static smi_code echo_unload(smi_model* model, smi_error* error) {
  pthread_mutex_lock(&model->mutex);
  const uint32_t running = model->stats.running;
  while (running == 0 && model->leaving > 0) pthread_cond_wait(&model->left, &model->mutex);
  pthread_mutex_unlock(&model->mutex);
  if (running > 0) return smi_fail(error, SMI_WRONG_STATE, "%u calls are running", running);
  pthread_mutex_lock(&model->plugin->mutex);
  --model->plugin->n_models;
  pthread_mutex_unlock(&model->plugin->mutex);
  pthread_cond_destroy(&model->left);
  pthread_mutex_destroy(&model->mutex);
  free(model);
  return SMI_OK;
}

static const smi_model_info* echo_describe_model(smi_model* model) { return &model->info; }

static smi_code echo_model_stats(smi_model* model, smi_model_stats* out, smi_error* error) {
  if (out == NULL || !SMI_HAS(out, smi_model_stats, private_bytes)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the statistics are missing or smaller than in SMI 1.0");
  }
  const uint32_t size = out->struct_size;
  pthread_mutex_lock(&model->mutex);
  memcpy(out, &model->stats, sizeof model->stats);
  pthread_mutex_unlock(&model->mutex);
  out->struct_size = size;
  return SMI_OK;
}

/* --- entry ----------------------------------------------------------------------------------------------------- */

static const smi_plugin_api api = {
    .struct_size = sizeof api,
    .version = SMI_VERSION,
    .open = echo_open,
    .close = echo_close,
    .describe = echo_describe,
    .estimate = echo_estimate,
    .load = echo_load,
    .unload = echo_unload,
    .describe_model = echo_describe_model,
    .execute = echo_execute,
    .generate = echo_generate,
    .cancel = echo_cancel,
    .model_stats = echo_model_stats,
};

SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  return smi_host_matches(host_version, error) ? &api : NULL;
}
