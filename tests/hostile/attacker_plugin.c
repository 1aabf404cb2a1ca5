/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that does harm on request: input "attack" BYTES [2] = name of an attack (attacks.c) or of a lie about the output
 * (below), and its argument; output "outcome" BYTES [1] says how it went. A model file is
 *
 *   attacker 1
 *   at_load NAME [ARGUMENT]     done while the model loads; may be left out
 *
 * Its estimate is a lie: one byte.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/stat.h>

#include "attacks.h"
#include "smi/plugin_util.h"

enum { MAX_TEXT = 1024 };

struct smi_plugin {
  int unused;
};
struct smi_model {
  smi_model_info info;
};

static smi_plugin the_plugin;

static const smi_str formats[] = {{"attacker", 8}};
static const smi_plugin_info plugin_info = {
    .struct_size = sizeof(smi_plugin_info),
    .capabilities = SMI_CAP_EXECUTE,
    .name = {"attacker", 8},
    .version = {"1", 1},
    .formats = formats,
    .n_formats = 1,
};

static const int64_t two[] = {2};
static const int64_t one[] = {1};
static const smi_tensor_spec inputs[] = {{.struct_size = sizeof(smi_tensor_spec),
                                          .dtype = SMI_BYTES,
                                          .name = {"attack", 6},
                                          .shape = two,
                                          .rank = 1}};
static const smi_tensor_spec outputs[] = {{.struct_size = sizeof(smi_tensor_spec),
                                           .dtype = SMI_BYTES,
                                           .name = {"outcome", 7},
                                           .shape = one,
                                           .rank = 1}};
static const smi_model_info model_info = {
    .struct_size = sizeof(smi_model_info),
    .capabilities = SMI_CAP_EXECUTE | SMI_CAP_CONCURRENT,
    .inputs = inputs,
    .n_inputs = 1,
    .outputs = outputs,
    .n_outputs = 1,
    .batch_dimension = -1,
};

/* Where its host lets it look for cached weights, and make them. */
static char cache_folder[MAX_TEXT * 4];
static char build_folder[MAX_TEXT * 4];

static smi_code attacker_open(const smi_host_api* host, const smi_option* options, uint32_t n_options,
                              smi_plugin** plugin, smi_error* error) {
  (void)host;
  (void)error;
  for (uint32_t i = 0; i < n_options; ++i) {
    const int to_read = strncmp(options[i].name.data, "weight_cache_dir", options[i].name.size) == 0;
    const int to_build = strncmp(options[i].name.data, "weight_cache_build_dir", options[i].name.size) == 0;
    if (!to_read && !to_build) continue;
    snprintf(to_read ? cache_folder : build_folder, sizeof cache_folder, "%.*s", (int)options[i].value.size,
             options[i].value.data);
  }
  *plugin = &the_plugin;
  return SMI_OK;
}

static smi_code attacker_close(smi_plugin* plugin, smi_error* error) {
  (void)plugin;
  (void)error;
  return SMI_OK;
}

static const smi_plugin_info* attacker_describe(smi_plugin* plugin) {
  (void)plugin;
  return &plugin_info;
}

static smi_code attacker_estimate(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out,
                                  smi_error* error) {
  (void)plugin;
  (void)params;
  (void)error;
  out->private_bytes = 1;
  return SMI_OK;
}

static int copy_file(const char* from, const char* to) {
  char bytes[4096];
  FILE* in = fopen(from, "re");
  FILE* out = fopen(to, "we");
  size_t n = 0;
  while (in != NULL && out != NULL && (n = fread(bytes, 1, sizeof bytes, in)) > 0) fwrite(bytes, 1, n, out);
  const int done = in != NULL && out != NULL;
  if (in != NULL) fclose(in);
  if (out != NULL) fclose(out);
  return done;
}

/* Leaves an entry of another model's weight cache where the host looks for its own, with a graph of its own in it. */
static smi_code forge_entry(const char* name, smi_error* error) {
  char from[sizeof cache_folder + 64];
  char folder[sizeof cache_folder + 64];
  char to[sizeof folder + 64];
  snprintf(folder, sizeof folder, "%s/%s", build_folder, name);
  if (mkdir(folder, 0700) != 0) return smi_fail(error, SMI_INTERNAL, "cannot make %s", folder);
  snprintf(from, sizeof from, "%s/attacker/%s/entry", cache_folder, name);
  snprintf(to, sizeof to, "%s/entry", folder);
  if (!copy_file(from, to)) return smi_fail(error, SMI_INTERNAL, "cannot copy %s", from);
  snprintf(to, sizeof to, "%s/model.onnx", folder);
  FILE* poison = fopen(to, "we");
  if (poison == NULL) return smi_fail(error, SMI_INTERNAL, "cannot make %s", to);
  fputs("poison", poison);
  fclose(poison);
  return SMI_OK;
}

static smi_code attack_at_load(FILE* file, smi_error* error) {
  char line[MAX_TEXT];
  if (fgets(line, sizeof line, file) == NULL || strcmp(line, "attacker 1\n") != 0) {
    return smi_fail(error, SMI_CORRUPT, "the file is no attacker model");
  }
  if (fgets(line, sizeof line, file) == NULL) return SMI_OK;
  line[strcspn(line, "\n")] = '\0';
  char* rest = NULL;
  strtok_r(line, " ", &rest);
  const int forge = strcmp(line, "forge") == 0;
  const char* name = strtok_r(NULL, " ", &rest);
  if (forge && name != NULL) return forge_entry(name, error);
  const attack_fn attack = name == NULL ? NULL : find_attack(name);
  if (attack == NULL) return smi_fail(error, SMI_CORRUPT, "no such attack");
  char outcome[MAX_TEXT];
  attack(rest == NULL ? "" : rest, outcome, sizeof outcome);
  return smi_fail(error, SMI_INTERNAL, "%s", outcome);
}

static smi_code attacker_load(smi_plugin* plugin, const smi_load_params* params, smi_model** model,
                              smi_error* error) {
  (void)plugin;
  char path[MAX_TEXT * 4];
  snprintf(path, sizeof path, "%.*s", (int)params->path.size, params->path.data);
  FILE* file = fopen(path, "re");
  if (file == NULL) return smi_fail(error, SMI_NOT_FOUND, "cannot open '%s'", path);
  const smi_code code = attack_at_load(file, error);
  fclose(file);
  if (code != SMI_OK) return code;
  smi_model* made = calloc(1, sizeof *made);
  if (made == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory");
  made->info = model_info;
  *model = made;
  return SMI_OK;
}

static smi_code attacker_unload(smi_model* model, smi_error* error) {
  (void)error;
  free(model);
  return SMI_OK;
}

static const smi_model_info* attacker_describe_model(smi_model* model) { return &model->info; }

/* The two strings of the input; 0 when they are too long. */
static int read_input(const smi_tensor* tensor, char (*words)[MAX_TEXT]) {
  const unsigned char* bytes = tensor->data;
  uint64_t at = 0;
  for (int i = 0; i < 2; ++i) {
    uint32_t length;
    memcpy(&length, bytes + at, 4);
    if (length >= MAX_TEXT) return 0;
    memcpy(words[i], bytes + at + 4, length);
    words[i][length] = '\0';
    at += 4 + length;
  }
  return 1;
}

/* One member of the output is wrong. */
static int spoil(const char* how, smi_tensor* tensor) {
  static const int64_t wrong_shape[] = {INT64_MAX};
  if (strcmp(how, "lie_dtype") == 0) {
    tensor->dtype = SMI_FP32;
  } else if (strcmp(how, "lie_shape") == 0) {
    tensor->shape = wrong_shape;
  } else if (strcmp(how, "lie_size") == 0) {
    tensor->size_bytes = UINT64_MAX;
  } else if (strcmp(how, "lie_name") == 0) {
    tensor->name = smi_text("treasure");
  } else if (strcmp(how, "lie_null") == 0) {
    tensor->data = NULL;
  } else if (strcmp(how, "lie_wild") == 0) {
    tensor->data = (void*)(uintptr_t)0x7ff000000008; /* readable for nobody */
  } else if (strcmp(how, "lie_nan") == 0) {
    tensor->data = (void*)(uintptr_t)0x7ff8000000000000; /* a NaN taken for a pointer */
  } else {
    return 0;
  }
  return 1;
}

static void answer(const smi_output_sink* sink, const char* outcome, const char* lie) {
  char bytes[4 + MAX_TEXT];
  const uint32_t length = (uint32_t)strlen(outcome);
  memcpy(bytes, &length, 4);
  memcpy(bytes + 4, outcome, length);
  smi_tensor tensor = {.struct_size = sizeof tensor,
                       .dtype = SMI_BYTES,
                       .name = {"outcome", 7},
                       .shape = one,
                       .rank = 1,
                       .memory = SMI_MEMORY_HOST,
                       .data = bytes,
                       .size_bytes = 4 + (uint64_t)length};
  spoil(lie, &tensor);
  sink->output(sink->ctx, &tensor, 0);
  sink->done(sink->ctx, SMI_OK, NULL, NULL);
}

static smi_code attacker_execute(smi_model* model, const smi_execute_params* params,
                                 const smi_output_sink* sink, smi_call** call, smi_error* error) {
  (void)model;
  (void)call;
  static _Thread_local char words[2][MAX_TEXT];
  const smi_code code = smi_check_execute(params, sink, error);
  if (code != SMI_OK) return code;
  if (params->n_inputs != 1 || !read_input(SMI_AT(params->inputs, smi_tensor, 0), words)) {
    return smi_fail(error, SMI_BAD_INPUT, "wanted an attack and its argument");
  }
  char outcome[MAX_TEXT] = "done";
  const attack_fn attack = find_attack(words[0]);
  smi_tensor probe = {.struct_size = sizeof probe};
  if (attack == NULL && !spoil(words[0], &probe))
    return smi_fail(error, SMI_BAD_INPUT, "no attack '%s'", words[0]);
  if (attack != NULL) attack(words[1], outcome, sizeof outcome);
  answer(sink, outcome, words[0]);
  return SMI_OK;
}

static smi_code attacker_stats(smi_model* model, smi_model_stats* out, smi_error* error) {
  (void)model;
  (void)error;
  out->calls_ok = UINT64_MAX;
  return SMI_OK;
}

static const smi_plugin_api api = {
    .struct_size = sizeof api,
    .version = SMI_VERSION,
    .open = attacker_open,
    .close = attacker_close,
    .describe = attacker_describe,
    .estimate = attacker_estimate,
    .load = attacker_load,
    .unload = attacker_unload,
    .describe_model = attacker_describe_model,
    .execute = attacker_execute,
    .model_stats = attacker_stats,
};

SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  return smi_host_matches(host_version, error) ? &api : NULL;
}
