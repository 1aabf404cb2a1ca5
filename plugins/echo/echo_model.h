/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model file of the echo plugin: text, one directive a line, `#` begins a comment.
 *
 *   echo 1                          first line: the format and its version
 *   input NAME DTYPE DIM...         an input, and an output of the same name. DIM: a number, or a name for any size.
 *                                   DTYPE: BOOL UINT8 ... FP16 BF16 FP32 FP64 BYTES
 *   optional NAME DTYPE DIM...      an input that may be left out; its output is then empty: every free dimension is 0
 *   generate                        the model generates text: the prompt, again
 *   delay_us N                      a call, or one generated token, takes that long; at most 60 seconds
 */
#ifndef MLOS_PLUGINS_ECHO_MODEL_H_
#define MLOS_PLUGINS_ECHO_MODEL_H_

#include <stdint.h>

#include "smi/smi.h"

enum { ECHO_MAX_TENSORS = 32, ECHO_MAX_RANK = 8, ECHO_MAX_NAME = 64, ECHO_MAX_ELEMENTS = 1 << 28 };

typedef struct echo_tensor {
  char name[ECHO_MAX_NAME];
  char dim_name_text[ECHO_MAX_RANK][ECHO_MAX_NAME];
  smi_str dim_names[ECHO_MAX_RANK];
  int64_t shape[ECHO_MAX_RANK];
} echo_tensor;

typedef struct echo_description {
  echo_tensor tensors[ECHO_MAX_TENSORS];
  smi_tensor_spec inputs[ECHO_MAX_TENSORS];  /* point into tensors */
  smi_tensor_spec outputs[ECHO_MAX_TENSORS]; /* the same without SMI_SPEC_OPTIONAL */
  uint32_t n_tensors;
  int generates;
  uint64_t delay_us;
} echo_description;

/* Reads the file at `path`. SMI_NOT_FOUND, or SMI_CORRUPT with the number of the line that is wrong. */
smi_code echo_read_model(smi_str path, echo_description* out, smi_error* error);

#endif /* MLOS_PLUGINS_ECHO_MODEL_H_ */
