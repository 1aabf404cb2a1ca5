/* SPDX-License-Identifier: Apache-2.0 */
/* execute() and generate(), on the calling thread. */
#include <errno.h>
#include <stdlib.h>

#include "echo.h"
#include "smi/plugin_util.h"

/* On the stack of the thread that runs the call. */
struct smi_call {
  smi_model* model;
  int64_t deadline_ns;
  int64_t started_ns;
  uint64_t prompt_tokens;
  uint64_t generated_tokens;

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t woken;
  int cancelled;
};

static void begin_call(smi_call* call, smi_model* model, int64_t deadline_ns) {
  memset(call, 0, sizeof *call);
  call->model = model;
  call->deadline_ns = deadline_ns;
  call->started_ns = smi_now_ns();
  pthread_mutex_init(&call->mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&call->woken, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_lock(&model->mutex);
  ++model->stats.running;
  pthread_mutex_unlock(&model->mutex);
}

/* Before done(): the call counts as over, but unload() waits until end_call(). */
static void leave_call(smi_call* call, smi_code code) {
  smi_model* model = call->model;
  pthread_mutex_lock(&model->mutex);
  --model->stats.running;
  ++model->leaving;
  ++*(code == SMI_OK ? &model->stats.calls_ok : &model->stats.calls_failed);
  model->stats.busy_ns += (uint64_t)(smi_now_ns() - call->started_ns);
  model->stats.tokens_prompt += call->prompt_tokens;
  model->stats.tokens_generated += call->generated_tokens;
  pthread_mutex_unlock(&model->mutex);
}

/* After done(). */
static void end_call(smi_call* call) {
  smi_model* model = call->model;
  pthread_cond_destroy(&call->woken);
  pthread_mutex_destroy(&call->mutex);
  pthread_mutex_lock(&model->mutex);
  --model->leaving;
  pthread_cond_signal(&model->left);
  pthread_mutex_unlock(&model->mutex);
}

/* Takes the model's delay. SMI_CANCELLED or SMI_DEADLINE_EXCEEDED when it ends early. */
static smi_code delay(smi_call* call, smi_error* error) {
  const int64_t until_ns = smi_now_ns() + (int64_t)call->model->description.delay_us * 1000;
  const int late = call->deadline_ns != 0 && call->deadline_ns < until_ns;
  const int64_t wake_ns = late ? call->deadline_ns : until_ns;
  const struct timespec wake = {.tv_sec = wake_ns / 1000000000, .tv_nsec = wake_ns % 1000000000};
  int waited = 0;
  pthread_mutex_lock(&call->mutex);
  while (!call->cancelled && waited != ETIMEDOUT && smi_now_ns() < wake_ns) {
    waited = pthread_cond_timedwait(&call->woken, &call->mutex, &wake);
  }
  const int cancelled = call->cancelled;
  pthread_mutex_unlock(&call->mutex);
  if (cancelled) return smi_fail(error, SMI_CANCELLED, "cancelled");
  if (late) return smi_fail(error, SMI_DEADLINE_EXCEEDED, "the deadline passed");
  return SMI_OK;
}

void echo_cancel(smi_model* model, smi_call* call) {
  (void)model;
  pthread_mutex_lock(&call->mutex);
  call->cancelled = 1;
  pthread_cond_signal(&call->woken);
  pthread_mutex_unlock(&call->mutex);
}

/* --- execute --------------------------------------------------------------------------------------------------- */

static const smi_tensor* find_input(const smi_execute_params* params, smi_str name) {
  for (uint32_t i = 0; i < params->n_inputs; ++i) {
    const smi_tensor* tensor = SMI_AT(params->inputs, smi_tensor, i);
    if (smi_str_is(tensor->name, name)) return tensor;
  }
  return NULL;
}

static const smi_tensor_spec* find_spec(const smi_model* model, smi_str name) {
  for (uint32_t i = 0; i < model->description.n_tensors; ++i) {
    if (smi_str_is(model->description.inputs[i].name, name)) return &model->description.inputs[i];
  }
  return NULL;
}

static smi_code check_fit(const smi_tensor_spec* spec, const smi_tensor* tensor, smi_error* error) {
  if (tensor->dtype != spec->dtype) {
    return smi_fail(error, SMI_BAD_INPUT, "input '%.*s': wanted %s, got %s", SMI_ARG(spec->name),
                    smi_dtype_name(spec->dtype), smi_dtype_name(tensor->dtype));
  }
  if (tensor->rank != spec->rank) {
    return smi_fail(error, SMI_BAD_INPUT, "input '%.*s': wanted rank %u, got %u", SMI_ARG(spec->name),
                    spec->rank, tensor->rank);
  }
  for (uint32_t i = 0; i < spec->rank; ++i) {
    if (spec->shape[i] < 0 || spec->shape[i] == tensor->shape[i]) continue;
    return smi_fail(error, SMI_BAD_INPUT, "input '%.*s': wanted %lld in dimension %u, got %lld",
                    SMI_ARG(spec->name), (long long)spec->shape[i], i, (long long)tensor->shape[i]);
  }
  return SMI_OK;
}

static smi_code check_names(const smi_model* model, const smi_execute_params* params, smi_error* error) {
  for (uint32_t i = 0; i < params->n_inputs; ++i) {
    const smi_tensor* tensor = SMI_AT(params->inputs, smi_tensor, i);
    const smi_tensor_spec* spec = find_spec(model, tensor->name);
    if (spec == NULL) return smi_fail(error, SMI_BAD_INPUT, "no input '%.*s'", SMI_ARG(tensor->name));
    const smi_code code = check_fit(spec, tensor, error);
    if (code != SMI_OK) return code;
  }
  for (uint32_t i = 0; i < model->description.n_tensors; ++i) {
    const smi_tensor_spec* spec = &model->description.inputs[i];
    if ((spec->flags & SMI_SPEC_OPTIONAL) || find_input(params, spec->name) != NULL) continue;
    return smi_fail(error, SMI_BAD_INPUT, "input '%.*s' is missing", SMI_ARG(spec->name));
  }
  for (uint32_t i = 0; i < params->n_outputs; ++i) {
    if (find_spec(model, params->outputs[i]) != NULL) continue;
    return smi_fail(error, SMI_BAD_INPUT, "no output '%.*s'", SMI_ARG(params->outputs[i]));
  }
  return SMI_OK;
}

static smi_code send_default(const smi_output_sink* sink, const smi_tensor_spec* spec, smi_error* error) {
  int64_t shape[ECHO_MAX_RANK];
  uint64_t count = 0;
  for (uint32_t i = 0; i < spec->rank; ++i) shape[i] = spec->shape[i] < 0 ? 0 : spec->shape[i];
  smi_element_count(shape, spec->rank, &count);
  /* A string of no bytes is a length of 0, four bytes. */
  const uint64_t size = count * (spec->dtype == SMI_BYTES ? 4 : smi_dtype_size(spec->dtype));
  void* zeros = calloc(1, size + 1);
  if (zeros == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for '%.*s'", SMI_ARG(spec->name));
  const smi_tensor tensor = {sizeof tensor,   spec->dtype, spec->name, shape, spec->rank,
                             SMI_MEMORY_HOST, 0,           0,          zeros, size};
  const smi_code code = sink->output(sink->ctx, &tensor, 0);
  free(zeros);
  return code == SMI_OK ? SMI_OK
                        : smi_fail(error, SMI_CANCELLED, "the sink refused '%.*s'", SMI_ARG(spec->name));
}

static smi_code send_outputs(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                             smi_error* error) {
  for (uint32_t i = 0; i < model->description.n_tensors; ++i) {
    const smi_tensor_spec* spec = &model->description.outputs[i];
    int wanted = params->n_outputs == 0;
    for (uint32_t j = 0; j < params->n_outputs; ++j) wanted |= smi_str_is(params->outputs[j], spec->name);
    if (!wanted) continue;
    const smi_tensor* input = find_input(params, spec->name);
    smi_code code = SMI_OK;
    if (input == NULL) {
      code = send_default(sink, spec, error);
    } else if (sink->output(sink->ctx, input, 0) != SMI_OK) {
      code = smi_fail(error, SMI_CANCELLED, "the sink refused '%.*s'", SMI_ARG(spec->name));
    }
    if (code != SMI_OK) return code;
  }
  return SMI_OK;
}

smi_code echo_execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                      smi_call** call, smi_error* error) {
  if (model->description.n_tensors == 0)
    return smi_fail(error, SMI_UNSUPPORTED, "the model takes no tensors");
  smi_code code = smi_check_execute(params, sink, error);
  if (code == SMI_OK) code = check_names(model, params, error);
  if (code != SMI_OK) return code;

  smi_error why = {.struct_size = sizeof why};
  smi_timing timing = {.struct_size = sizeof timing};
  smi_call made;
  begin_call(&made, model, params->deadline_ns);
  smi_publish_call(call, &made);
  code = delay(&made, &why);
  timing.compute_ns = (uint64_t)(smi_now_ns() - made.started_ns);
  if (code == SMI_OK) code = send_outputs(model, params, sink, &why);
  leave_call(&made, code);
  sink->done(sink->ctx, code, code == SMI_OK ? NULL : &why, &timing);
  end_call(&made);
  return SMI_OK;
}

/* --- generate -------------------------------------------------------------------------------------------------- */

/* The prompt, or the contents of the messages, each on a line. The caller frees data. */
static smi_str joined_prompt(const smi_generate_params* params) {
  uint64_t size = params->n_messages == 0 ? params->prompt.size : 0;
  for (uint32_t i = 0; i < params->n_messages; ++i) size += params->messages[i].content.size + 1;
  char* text = malloc(size + 1);
  smi_str out = {text, 0};
  if (text == NULL) return out;
  if (params->n_messages == 0 && size > 0) memcpy(text, params->prompt.data, out.size = size);
  for (uint32_t i = 0; i < params->n_messages; ++i) {
    const smi_str content = params->messages[i].content;
    if (content.size > 0) memcpy(text + out.size, content.data, content.size);
    out.size += content.size;
    text[out.size++] = '\n';
  }
  return out;
}

/* A token is a word with the blanks behind it. */
static uint64_t token_end(smi_str text, uint64_t at) {
  while (at < text.size && text.data[at] != ' ' && text.data[at] != '\n') ++at;
  while (at < text.size && (text.data[at] == ' ' || text.data[at] == '\n')) ++at;
  return at;
}

static int begins_with_stop(const smi_generate_params* params, smi_str text, uint64_t at) {
  for (uint32_t i = 0; i < params->n_stop; ++i) {
    const smi_str stop = params->stop[i];
    if (text.size - at >= stop.size && memcmp(text.data + at, stop.data, stop.size) == 0) return 1;
  }
  return 0;
}

static smi_code send_text(smi_call* call, smi_str text, const smi_generate_params* params,
                          const smi_text_sink* sink, smi_finish* finish, smi_error* error) {
  uint64_t at = 0;
  *finish = SMI_FINISH_STOP;
  while (at < text.size) {
    if (params->max_tokens > 0 && call->generated_tokens == params->max_tokens) {
      *finish = SMI_FINISH_LENGTH;
      return SMI_OK;
    }
    const smi_code code = delay(call, error);
    if (code != SMI_OK) return code;
    const uint64_t end = token_end(text, at);
    uint64_t stop = at;
    while (stop < end && !begins_with_stop(params, text, stop)) ++stop;
    const smi_str piece = {text.data + at, stop - at};
    ++call->generated_tokens;
    if (piece.size > 0 && sink->text(sink->ctx, piece, 1) != SMI_OK) {
      return smi_fail(error, SMI_CANCELLED, "the sink refused the text");
    }
    if (stop < end) return SMI_OK;
    at = end;
  }
  return SMI_OK;
}

smi_code echo_generate(smi_model* model, const smi_generate_params* params, const smi_text_sink* sink,
                       smi_call** call, smi_error* error) {
  if (!model->description.generates) return smi_fail(error, SMI_UNSUPPORTED, "the model does not generate");
  smi_code code = smi_check_generate(params, sink, error);
  if (code != SMI_OK) return code;
  const smi_str text = joined_prompt(params);
  if (text.data == NULL) return smi_fail(error, SMI_OUT_OF_MEMORY, "no memory for the prompt");

  smi_error why = {.struct_size = sizeof why};
  smi_generate_result result = {.struct_size = sizeof result};
  smi_call made;
  begin_call(&made, model, params->deadline_ns);
  for (uint64_t at = 0; at < text.size; at = token_end(text, at)) ++made.prompt_tokens;
  smi_publish_call(call, &made);
  code = send_text(&made, text, params, sink, &result.finish, &why);
  free((char*)text.data);
  if (code != SMI_OK) result.finish = SMI_FINISH_CANCELLED;
  result.prompt_tokens = (uint32_t)made.prompt_tokens;
  result.completion_tokens = (uint32_t)made.generated_tokens;
  result.eval_ns = (uint64_t)(smi_now_ns() - made.started_ns);
  leave_call(&made, code);
  sink->done(sink->ctx, code, code == SMI_OK ? NULL : &why, &result);
  end_call(&made);
  return SMI_OK;
}
