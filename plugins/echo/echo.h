/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the echo plugin share: echo.c has the plugin and its models, echo_call.c the calls. */
#ifndef MLOS_PLUGINS_ECHO_ECHO_H_
#define MLOS_PLUGINS_ECHO_ECHO_H_

#include <pthread.h>

#include "echo_model.h"
#include "smi/smi.h"

struct smi_plugin {
  smi_host_api host;
  pthread_mutex_t mutex;
  uint32_t n_models; /* guarded by mutex */
};

struct smi_model {
  smi_plugin* plugin;
  echo_description description;
  smi_model_info info;

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t left;
  smi_model_stats stats;
  uint32_t leaving; /* calls that are over, but whose done() has not returned */
};

/* Slots of smi_plugin_api. */
smi_code echo_execute(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                      smi_call** call, smi_error* error);
smi_code echo_generate(smi_model* model, const smi_generate_params* params, const smi_text_sink* sink,
                       smi_call** call, smi_error* error);
void echo_cancel(smi_model* model, smi_call* call);

#endif /* MLOS_PLUGINS_ECHO_ECHO_H_ */
