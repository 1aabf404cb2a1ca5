/* SPDX-License-Identifier: Apache-2.0 */
#include "echo_model.h"

#include <stdlib.h>

#include "smi/plugin_util.h"

static smi_dtype dtype_from_name(const char* name) {
  for (smi_dtype dtype = SMI_BOOL; dtype <= SMI_BYTES; ++dtype) {
    if (strcmp(smi_dtype_name(dtype), name) == 0) return dtype;
  }
  return SMI_DTYPE_INVALID;
}

/* A decimal number up to `max`; 0 when `text` is none. */
static int read_number(const char* text, uint64_t max, uint64_t* out) {
  uint64_t value = 0;
  if (*text == '\0') return 0;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return 0;
    value = value * 10 + (uint64_t)(*text - '0');
    if (value > max) return 0;
  }
  *out = value;
  return 1;
}

static int has_name(const echo_description* model, const char* name) {
  for (uint32_t i = 0; i < model->n_tensors; ++i) {
    if (strcmp(model->tensors[i].name, name) == 0) return 1;
  }
  return 0;
}

/* NAME DTYPE DIM...: what is wrong, or NULL. */
static const char* read_tensor(echo_description* model, char** words, uint32_t n_words, uint32_t flags) {
  if (model->n_tensors == ECHO_MAX_TENSORS) return "too many inputs";
  if (n_words < 2 || strlen(words[0]) >= ECHO_MAX_NAME) return "wanted NAME DTYPE DIM...";
  if (n_words - 2 > ECHO_MAX_RANK) return "too many dimensions";
  if (has_name(model, words[0])) return "the name is taken";
  echo_tensor* tensor = &model->tensors[model->n_tensors];
  smi_tensor_spec spec = {.struct_size = sizeof spec, .flags = flags};
  spec.dtype = dtype_from_name(words[1]);
  if (spec.dtype == SMI_DTYPE_INVALID) return "no such dtype";
  strcpy(tensor->name, words[0]);
  for (uint32_t i = 2; i < n_words; ++i) {
    const uint32_t dim = spec.rank++;
    uint64_t size = 0;
    if (read_number(words[i], INT32_MAX, &size)) {
      tensor->shape[dim] = (int64_t)size;
    } else if (strlen(words[i]) < ECHO_MAX_NAME) {
      tensor->shape[dim] = -1;
      strcpy(tensor->dim_name_text[dim], words[i]);
    } else {
      return "the name of a dimension is too long";
    }
    tensor->dim_names[dim] = smi_text(tensor->dim_name_text[dim]);
  }
  uint64_t fixed = 1;
  for (uint32_t i = 0; i < spec.rank; ++i) {
    if (tensor->shape[i] > 0) fixed *= (uint64_t)tensor->shape[i];
    if (fixed > ECHO_MAX_ELEMENTS) return "the fixed dimensions are too large together";
  }
  spec.name = smi_text(tensor->name);
  spec.shape = tensor->shape;
  spec.dim_names = tensor->dim_names;
  if (flags & SMI_SPEC_OPTIONAL) spec.description = smi_text("left out: free dimensions are 0, values are 0");
  model->inputs[model->n_tensors] = spec;
  spec.flags = 0;
  spec.description = smi_text("");
  model->outputs[model->n_tensors++] = spec;
  return NULL;
}

static const char* read_directive(echo_description* model, char** words, uint32_t n_words) {
  if (strcmp(words[0], "input") == 0) return read_tensor(model, words + 1, n_words - 1, 0);
  if (strcmp(words[0], "optional") == 0) return read_tensor(model, words + 1, n_words - 1, SMI_SPEC_OPTIONAL);
  if (strcmp(words[0], "generate") == 0 && n_words == 1) {
    model->generates = 1;
    return NULL;
  }
  if (strcmp(words[0], "delay_us") == 0 && n_words == 2) {
    return read_number(words[1], 60000000, &model->delay_us) ? NULL : "wanted a number up to 60000000";
  }
  return "no such directive";
}

static smi_code read_lines(FILE* file, echo_description* out, smi_error* error) {
  enum { MAX_WORDS = 4 + ECHO_MAX_RANK };
  char line[1024];
  for (uint32_t number = 1; fgets(line, sizeof line, file) != NULL; ++number) {
    if (strchr(line, '\n') == NULL && !feof(file))
      return smi_fail(error, SMI_CORRUPT, "line %u: too long", number);
    line[strcspn(line, "#\r\n")] = '\0';
    char* words[MAX_WORDS];
    uint32_t n_words = 0;
    char* rest = NULL;
    for (char* word = strtok_r(line, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
      if (n_words == MAX_WORDS) return smi_fail(error, SMI_CORRUPT, "line %u: too many words", number);
      words[n_words++] = word;
    }
    if (number == 1) {
      if (n_words == 2 && strcmp(words[0], "echo") == 0 && strcmp(words[1], "1") == 0) continue;
      return smi_fail(error, SMI_CORRUPT, "the file is no echo model: its first line is not 'echo 1'");
    }
    if (n_words == 0) continue;
    const char* problem = read_directive(out, words, n_words);
    if (problem != NULL) return smi_fail(error, SMI_CORRUPT, "line %u: %s", number, problem);
  }
  if (ferror(file)) return smi_fail(error, SMI_NOT_FOUND, "the model file cannot be read");
  if (out->n_tensors == 0 && !out->generates) {
    return smi_fail(error, SMI_CORRUPT, "the model has neither an input nor 'generate'");
  }
  return SMI_OK;
}

smi_code echo_read_model(smi_str path, echo_description* out, smi_error* error) {
  char* name = malloc(path.size + 1);
  if (name == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for a path");
  memcpy(name, path.data, path.size);
  name[path.size] = '\0';
  FILE* file = fopen(name, "r");
  free(name);
  if (file == NULL) return smi_fail(error, SMI_NOT_FOUND, "cannot open %.*s", SMI_ARG(path));
  memset(out, 0, sizeof *out);
  const smi_code code = read_lines(file, out, error);
  fclose(file);
  return code;
}
