/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nearly every plugin needs besides smi.h: filling errors, comparing text, checking the tensors and parameters it is
 * given. Header only, plain C, no part of the ABI: a plugin may write its own instead.
 */
#ifndef SMI_PLUGIN_UTIL_H_
#define SMI_PLUGIN_UTIL_H_

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "smi/smi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* More dimensions than any model has: guards against garbage before `shape` is read. */
#define SMI_MAX_RANK 64u

/* Fills *error (may be NULL, may be short) and returns `code`, so that a function can end with `return smi_fail(...)`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline smi_code
smi_fail(smi_error* error, smi_code code, const char* format, ...) {
  if (error == NULL || !SMI_HAS(error, smi_error, code)) return code;
  error->code = code;
  if (error->struct_size > offsetof(smi_error, message)) {
    size_t room = error->struct_size - offsetof(smi_error, message);
    if (room > sizeof error->message) room = sizeof error->message;
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(error->message, room, format, args);
    va_end(args);
    /* A cut inside a UTF-8 character would leave invalid text. */
    if (length >= 0 && (size_t)length >= room) {
      size_t end = room - 1;
      while (end > 0 && ((unsigned char)error->message[end - 1] & 0xC0u) == 0x80u) --end;
      if (end > 0 && ((unsigned char)error->message[end - 1] & 0x80u) != 0) --end;
      error->message[end] = '\0';
    }
  }
  return code;
}

static inline smi_str smi_text(const char* text) {
  smi_str out;
  out.data = text;
  out.size = text == NULL ? 0 : strlen(text);
  return out;
}

static inline int smi_str_is(smi_str a, smi_str b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* For "%.*s": SMI_ARG(name) gives the two arguments. */
#define SMI_ARG(text) (int)((text).size > 256 ? 256 : (text).size), ((text).data == NULL ? "" : (text).data)

/* CLOCK_MONOTONIC, nanoseconds. */
static inline int64_t smi_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Bytes of one element; 0 for SMI_BYTES and for values that are no dtype. */
static inline uint64_t smi_dtype_size(smi_dtype dtype) {
  switch (dtype) {
    case SMI_BOOL:
    case SMI_UINT8:
    case SMI_INT8:
      return 1;
    case SMI_UINT16:
    case SMI_INT16:
    case SMI_FP16:
    case SMI_BF16:
      return 2;
    case SMI_UINT32:
    case SMI_INT32:
    case SMI_FP32:
      return 4;
    case SMI_UINT64:
    case SMI_INT64:
    case SMI_FP64:
      return 8;
    default:
      return 0;
  }
}

/* "FP32" and so on; "INVALID" for values that are no dtype. */
static inline const char* smi_dtype_name(smi_dtype dtype) {
  static const char* const names[] = {"INVALID", "BOOL", "UINT8", "UINT16", "UINT32",
                                      "UINT64",  "INT8", "INT16", "INT32",  "INT64",
                                      "FP16",    "BF16", "FP32",  "FP64",   "BYTES"};
  return dtype > 0 && dtype <= SMI_BYTES ? names[dtype] : names[0];
}

/* Product of the dimensions into *count; 0 when one is negative or the product exceeds 2^63-1. */
static inline int smi_element_count(const int64_t* shape, uint32_t rank, uint64_t* count) {
  int64_t product = 1;
  uint32_t i;
  for (i = 0; i < rank; ++i) {
    if (shape[i] < 0 || __builtin_mul_overflow(product, shape[i], &product)) return 0;
  }
  *count = (uint64_t)product;
  return 1;
}

/* True when the bytes are exactly `count` strings in SMI_BYTES encoding. */
static inline int smi_bytes_valid(const void* data, uint64_t size, uint64_t count) {
  const unsigned char* bytes = (const unsigned char*)data;
  uint64_t at = 0;
  uint64_t i;
  if (count > size / 4) return 0;
  for (i = 0; i < count; ++i) {
    uint32_t length;
    if (size - at < 4) return 0;
    memcpy(&length, bytes + at, 4);
    at += 4;
    if (size - at < length) return 0;
    at += length;
  }
  return at == size;
}

/* Why a tensor cannot be read at all; NULL when it can be: size, dtype, rank, shape, bytes. Says nothing of the model. */
static inline const char* smi_tensor_problem(const smi_tensor* tensor) {
  uint64_t count = 0;
  uint64_t bytes = 0;
  if (!SMI_HAS(tensor, smi_tensor, size_bytes)) return "the struct is smaller than in SMI 1.0";
  if (tensor->name.size > 0 && tensor->name.data == NULL) return "the name is NULL";
  if (tensor->dtype <= SMI_DTYPE_INVALID || tensor->dtype > SMI_BYTES) return "no such dtype";
  if (tensor->rank > SMI_MAX_RANK) return "the rank is over 64";
  if (tensor->rank > 0 && tensor->shape == NULL) return "the shape is NULL";
  if (!smi_element_count(tensor->shape, tensor->rank, &count)) return "the shape is negative or too large";
  if (tensor->size_bytes > 0 && tensor->data == NULL) return "the data is NULL";
  if (tensor->dtype == SMI_BYTES) {
    if (tensor->memory != SMI_MEMORY_HOST) return NULL;
    return smi_bytes_valid(tensor->data, tensor->size_bytes, count) ? NULL
                                                                    : "the data is no valid BYTES encoding";
  }
  if (__builtin_mul_overflow(count, smi_dtype_size(tensor->dtype), &bytes)) return "the shape is too large";
  return bytes == tensor->size_bytes ? NULL : "size_bytes is not what dtype and shape say";
}

/*
 * Whether execute() may look at its arguments: sizes, pointers, the sink, every tensor readable and in host memory, no
 * input twice. Fills *error.
 */
static inline smi_code smi_check_execute(const smi_execute_params* params, const smi_output_sink* sink,
                                         smi_error* error) {
  uint32_t i;
  uint32_t j;
  if (params == NULL || !SMI_HAS(params, smi_execute_params, request_id)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT,
                    "the execute parameters are missing or smaller than in SMI 1.0");
  }
  if (sink == NULL || !SMI_HAS(sink, smi_output_sink, reserve) || sink->output == NULL ||
      sink->done == NULL) {
    return smi_fail(error, SMI_INVALID_ARGUMENT,
                    "the sink is missing, incomplete or smaller than in SMI 1.0");
  }
  if ((params->n_inputs > 0 && params->inputs == NULL) ||
      (params->n_outputs > 0 && params->outputs == NULL)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "inputs or outputs are counted but NULL");
  }
  for (i = 0; i < params->n_inputs; ++i) {
    const smi_tensor* tensor = SMI_AT(params->inputs, smi_tensor, i);
    const char* problem = smi_tensor_problem(tensor);
    if (problem != NULL) {
      const int readable = SMI_HAS(tensor, smi_tensor, name) && tensor->name.data != NULL;
      const smi_str name = readable ? tensor->name : smi_text("?");
      return smi_fail(error, SMI_INVALID_ARGUMENT, "input %u ('%.*s'): %s", i, SMI_ARG(name), problem);
    }
    if (tensor->memory != SMI_MEMORY_HOST) {
      return smi_fail(error, SMI_UNSUPPORTED, "input '%.*s' is not in host memory", SMI_ARG(tensor->name));
    }
    for (j = 0; j < i; ++j) {
      if (smi_str_is(SMI_AT(params->inputs, smi_tensor, j)->name, tensor->name)) {
        return smi_fail(error, SMI_BAD_INPUT, "input '%.*s' is given twice", SMI_ARG(tensor->name));
      }
    }
  }
  if (params->deadline_ns != 0 && smi_now_ns() >= params->deadline_ns) {
    return smi_fail(error, SMI_DEADLINE_EXCEEDED, "the deadline had passed before the call began");
  }
  return SMI_OK;
}

/* The same for generate(): sizes, pointers and the ranges that smi_generate_params states. Fills *error. */
static inline smi_code smi_check_generate(const smi_generate_params* params, const smi_text_sink* sink,
                                          smi_error* error) {
  uint32_t i;
  if (params == NULL || !SMI_HAS(params, smi_generate_params, request_id)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT,
                    "the generate parameters are missing or smaller than in SMI 1.0");
  }
  if (sink == NULL || !SMI_HAS(sink, smi_text_sink, done) || sink->text == NULL || sink->done == NULL) {
    return smi_fail(error, SMI_INVALID_ARGUMENT,
                    "the sink is missing, incomplete or smaller than in SMI 1.0");
  }
  if ((params->n_messages > 0 && params->messages == NULL) || (params->n_stop > 0 && params->stop == NULL) ||
      (params->n_messages == 0 && params->prompt.size > 0 && params->prompt.data == NULL)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the prompt, messages or stop strings are counted but NULL");
  }
  for (i = 0; i < params->n_stop; ++i) {
    if (params->stop[i].size == 0 || params->stop[i].data == NULL) {
      return smi_fail(error, SMI_INVALID_ARGUMENT, "stop string %u is empty", i);
    }
  }
  for (i = 0; i < params->n_messages; ++i) {
    const smi_message* m = &params->messages[i];
    if ((m->role.size > 0 && m->role.data == NULL) || (m->content.size > 0 && m->content.data == NULL)) {
      return smi_fail(error, SMI_INVALID_ARGUMENT, "message %u is counted but NULL", i);
    }
  }
  /* Written so that NaN fails. */
  if (!(params->temperature >= 0.0F))
    return smi_fail(error, SMI_INVALID_ARGUMENT, "temperature must be >= 0");
  if (!(params->top_p > 0.0F && params->top_p <= 1.0F)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "top_p must be in (0, 1]");
  }
  if (!(params->min_p >= 0.0F && params->min_p < 1.0F)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "min_p must be in [0, 1)");
  }
  if (!(params->repeat_penalty > 0.0F))
    return smi_fail(error, SMI_INVALID_ARGUMENT, "repeat_penalty must be > 0");
  if (params->top_k < 0) return smi_fail(error, SMI_INVALID_ARGUMENT, "top_k must be >= 0");
  if (params->deadline_ns != 0 && smi_now_ns() >= params->deadline_ns) {
    return smi_fail(error, SMI_DEADLINE_EXCEEDED, "the deadline had passed before the call began");
  }
  return SMI_OK;
}

/* The same for load() and estimate(). Fills *error. */
static inline smi_code smi_check_load(const smi_load_params* params, smi_error* error) {
  if (params == NULL || !SMI_HAS(params, smi_load_params, reserved)) {
    return smi_fail(error, SMI_INVALID_ARGUMENT,
                    "the load parameters are missing or smaller than in SMI 1.0");
  }
  if (params->path.data == NULL || params->path.size == 0 ||
      memchr(params->path.data, 0, params->path.size) != NULL) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "the path is empty or holds a zero byte");
  }
  if (params->n_options > 0 && params->options == NULL) {
    return smi_fail(error, SMI_INVALID_ARGUMENT, "options are counted but NULL");
  }
  return SMI_OK;
}

/* entry(): fills *error and returns 0 when the host shares no major version with this header. */
static inline int smi_host_matches(uint32_t host_version, smi_error* error) {
  if (host_version >> 16 == SMI_VERSION_MAJOR) return 1;
  smi_fail(error, SMI_UNSUPPORTED, "the plugin speaks SMI %u.x, the host SMI %u.%u", SMI_VERSION_MAJOR,
           host_version >> 16, host_version & 0xFFFFu);
  return 0;
}

#ifdef __cplusplus
}
#endif

#endif /* SMI_PLUGIN_UTIL_H_ */
