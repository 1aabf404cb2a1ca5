/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory layout of SMI 1.0 on 64-bit machines, as a file that compiles or does not. Nothing in here is ever edited: a
 * later minor version appends members to the structs and gets a file of its own (sizes are lower bounds there).
 */
#include "smi/smi.h"

#define AT(type, member, offset) \
  _Static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " is not its SMI 1.0 size")
/* Structs that begin with struct_size may grow, never shrink. */
#define GROWS(type, size) _Static_assert(sizeof(type) >= (size), #type " is smaller than in SMI 1.0")

_Static_assert(sizeof(void*) == 8, "this file describes 64-bit machines");
_Static_assert(sizeof(smi_code) == 4 && sizeof(smi_dtype) == 4 && sizeof(smi_memory) == 4 &&
                   sizeof(smi_finish) == 4,
               "enumerations are 32 bits wide");

AT(smi_error, struct_size, 0);
AT(smi_error, code, 4);
AT(smi_error, message, 8);
GROWS(smi_error, 1024);

AT(smi_str, data, 0);
AT(smi_str, size, 8);
SIZE(smi_str, 16);

AT(smi_tensor, struct_size, 0);
AT(smi_tensor, dtype, 4);
AT(smi_tensor, name, 8);
AT(smi_tensor, shape, 24);
AT(smi_tensor, rank, 32);
AT(smi_tensor, memory, 36);
AT(smi_tensor, device_id, 40);
AT(smi_tensor, reserved, 44);
AT(smi_tensor, data, 48);
AT(smi_tensor, size_bytes, 56);
GROWS(smi_tensor, 64);

AT(smi_tensor_spec, struct_size, 0);
AT(smi_tensor_spec, dtype, 4);
AT(smi_tensor_spec, name, 8);
AT(smi_tensor_spec, shape, 24);
AT(smi_tensor_spec, dim_names, 32);
AT(smi_tensor_spec, rank, 40);
AT(smi_tensor_spec, flags, 44);
AT(smi_tensor_spec, description, 48);
GROWS(smi_tensor_spec, 64);

AT(smi_option, name, 0);
AT(smi_option, value, 16);
SIZE(smi_option, 32);

AT(smi_host_api, struct_size, 0);
AT(smi_host_api, version, 4);
AT(smi_host_api, host, 8);
AT(smi_host_api, log, 16);
GROWS(smi_host_api, 24);

AT(smi_plugin_info, struct_size, 0);
AT(smi_plugin_info, capabilities, 4);
AT(smi_plugin_info, name, 8);
AT(smi_plugin_info, version, 24);
AT(smi_plugin_info, engine_version, 40);
AT(smi_plugin_info, formats, 56);
AT(smi_plugin_info, frameworks, 64);
AT(smi_plugin_info, n_formats, 72);
AT(smi_plugin_info, n_frameworks, 76);
GROWS(smi_plugin_info, 80);

AT(smi_load_params, struct_size, 0);
AT(smi_load_params, n_threads, 4);
AT(smi_load_params, package_dir, 8);
AT(smi_load_params, path, 24);
AT(smi_load_params, format, 40);
AT(smi_load_params, context_length, 56);
AT(smi_load_params, max_sequences, 60);
AT(smi_load_params, options, 64);
AT(smi_load_params, n_options, 72);
AT(smi_load_params, reserved, 76);
GROWS(smi_load_params, 80);

AT(smi_estimate, struct_size, 0);
AT(smi_estimate, reserved, 4);
AT(smi_estimate, private_bytes, 8);
AT(smi_estimate, mapped_bytes, 16);
AT(smi_estimate, device_bytes, 24);
AT(smi_estimate, per_call_bytes, 32);
GROWS(smi_estimate, 40);

AT(smi_model_info, struct_size, 0);
AT(smi_model_info, capabilities, 4);
AT(smi_model_info, inputs, 8);
AT(smi_model_info, outputs, 16);
AT(smi_model_info, n_inputs, 24);
AT(smi_model_info, n_outputs, 28);
AT(smi_model_info, context_length, 32);
AT(smi_model_info, embedding_length, 36);
AT(smi_model_info, parameter_count, 40);
AT(smi_model_info, architecture, 48);
AT(smi_model_info, chat_template, 64);
AT(smi_model_info, batch_dimension, 80);
AT(smi_model_info, preferred_batch, 84);
GROWS(smi_model_info, 88);

AT(smi_model_stats, struct_size, 0);
AT(smi_model_stats, running, 4);
AT(smi_model_stats, calls_ok, 8);
AT(smi_model_stats, calls_failed, 16);
AT(smi_model_stats, busy_ns, 24);
AT(smi_model_stats, tokens_prompt, 32);
AT(smi_model_stats, tokens_generated, 40);
AT(smi_model_stats, private_bytes, 48);
GROWS(smi_model_stats, 56);

AT(smi_timing, struct_size, 0);
AT(smi_timing, reserved, 4);
AT(smi_timing, prepare_ns, 8);
AT(smi_timing, compute_ns, 16);
AT(smi_timing, finish_ns, 24);
GROWS(smi_timing, 32);

AT(smi_output_sink, struct_size, 0);
AT(smi_output_sink, reserved, 4);
AT(smi_output_sink, ctx, 8);
AT(smi_output_sink, output, 16);
AT(smi_output_sink, done, 24);
AT(smi_output_sink, reserve, 32);
GROWS(smi_output_sink, 40);

AT(smi_execute_params, struct_size, 0);
AT(smi_execute_params, n_inputs, 4);
AT(smi_execute_params, inputs, 8);
AT(smi_execute_params, outputs, 16);
AT(smi_execute_params, n_outputs, 24);
AT(smi_execute_params, n_threads, 28);
AT(smi_execute_params, deadline_ns, 32);
AT(smi_execute_params, request_id, 40);
GROWS(smi_execute_params, 48);

AT(smi_message, role, 0);
AT(smi_message, content, 16);
SIZE(smi_message, 32);

AT(smi_generate_params, struct_size, 0);
AT(smi_generate_params, n_messages, 4);
AT(smi_generate_params, prompt, 8);
AT(smi_generate_params, messages, 24);
AT(smi_generate_params, stop, 32);
AT(smi_generate_params, n_stop, 40);
AT(smi_generate_params, max_tokens, 44);
AT(smi_generate_params, temperature, 48);
AT(smi_generate_params, top_p, 52);
AT(smi_generate_params, min_p, 56);
AT(smi_generate_params, repeat_penalty, 60);
AT(smi_generate_params, top_k, 64);
AT(smi_generate_params, reserved, 68);
AT(smi_generate_params, seed, 72);
AT(smi_generate_params, deadline_ns, 80);
AT(smi_generate_params, request_id, 88);
GROWS(smi_generate_params, 96);

AT(smi_generate_result, struct_size, 0);
AT(smi_generate_result, finish, 4);
AT(smi_generate_result, prompt_tokens, 8);
AT(smi_generate_result, completion_tokens, 12);
AT(smi_generate_result, queue_ns, 16);
AT(smi_generate_result, prompt_ns, 24);
AT(smi_generate_result, eval_ns, 32);
GROWS(smi_generate_result, 40);

AT(smi_text_sink, struct_size, 0);
AT(smi_text_sink, reserved, 4);
AT(smi_text_sink, ctx, 8);
AT(smi_text_sink, text, 16);
AT(smi_text_sink, done, 24);
GROWS(smi_text_sink, 32);

AT(smi_plugin_api, struct_size, 0);
AT(smi_plugin_api, version, 4);
AT(smi_plugin_api, open, 8);
AT(smi_plugin_api, close, 16);
AT(smi_plugin_api, describe, 24);
AT(smi_plugin_api, estimate, 32);
AT(smi_plugin_api, load, 40);
AT(smi_plugin_api, unload, 48);
AT(smi_plugin_api, describe_model, 56);
AT(smi_plugin_api, execute, 64);
AT(smi_plugin_api, generate, 72);
AT(smi_plugin_api, cancel, 80);
AT(smi_plugin_api, model_stats, 88);
AT(smi_plugin_api, tokenize, 96);
GROWS(smi_plugin_api, 104);

#define VALUE(name, value) _Static_assert((name) == (value), #name " has changed")
VALUE(SMI_OK, 0);
VALUE(SMI_INVALID_ARGUMENT, 1);
VALUE(SMI_BAD_INPUT, 2);
VALUE(SMI_NOT_FOUND, 3);
VALUE(SMI_UNSUPPORTED, 4);
VALUE(SMI_CORRUPT, 5);
VALUE(SMI_WRONG_STATE, 6);
VALUE(SMI_UNAVAILABLE, 7);
VALUE(SMI_OUT_OF_MEMORY, 8);
VALUE(SMI_CANCELLED, 9);
VALUE(SMI_DEADLINE_EXCEEDED, 10);
VALUE(SMI_INTERNAL, 11);
VALUE(SMI_DTYPE_INVALID, 0);
VALUE(SMI_BOOL, 1);
VALUE(SMI_UINT8, 2);
VALUE(SMI_UINT16, 3);
VALUE(SMI_UINT32, 4);
VALUE(SMI_UINT64, 5);
VALUE(SMI_INT8, 6);
VALUE(SMI_INT16, 7);
VALUE(SMI_INT32, 8);
VALUE(SMI_INT64, 9);
VALUE(SMI_FP16, 10);
VALUE(SMI_BF16, 11);
VALUE(SMI_FP32, 12);
VALUE(SMI_FP64, 13);
VALUE(SMI_BYTES, 14);
VALUE(SMI_MEMORY_HOST, 0);
VALUE(SMI_MEMORY_HOST_PINNED, 1);
VALUE(SMI_MEMORY_CUDA, 2);
VALUE(SMI_MEMORY_DMABUF, 3);
VALUE(SMI_SPEC_OPTIONAL, 1u << 0);
VALUE(SMI_CAP_EXECUTE, 1u << 0);
VALUE(SMI_CAP_GENERATE, 1u << 1);
VALUE(SMI_CAP_CANCEL, 1u << 2);
VALUE(SMI_CAP_PARTIAL_OUTPUTS, 1u << 3);
VALUE(SMI_CAP_CONCURRENT, 1u << 4);
VALUE(SMI_CAP_CHAT_TEMPLATE, 1u << 5);
VALUE(SMI_FINISH_NONE, 0);
VALUE(SMI_FINISH_STOP, 1);
VALUE(SMI_FINISH_LENGTH, 2);
VALUE(SMI_FINISH_CANCELLED, 3);
VALUE(SMI_PART_LAST, 0x80000000u);
VALUE(SMI_MAKE_VERSION(1u, 0u), 0x00010000u);
