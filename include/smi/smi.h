/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMI, the Standard Model Interface: the C ABI between mlOS and the libraries that run models ("plugins").
 *
 * A plugin is a shared library that exports one symbol, smi_plugin_entry. The host calls it once per process; the
 * plugin answers with a table of functions. Everything else goes through that table.
 *
 * Rules of this header
 *  - Every struct and table begins with struct_size, its size in bytes as the side that fills it was compiled. A reader
 *    uses only members that lie inside struct_size (SMI_HAS). Members are only ever appended. SMI 1.0 is frozen: the
 *    layout is held by static assertions in tests/conformance/smi/layout_1_0.c. A struct smaller than in SMI 1.0 is
 *    SMI_INVALID_ARGUMENT. Only smi_str, smi_option and smi_message carry no size: they never change.
 *  - Arrays of structs with a size are walked by the size of their first element (SMI_AT), because the side that filled
 *    the array may know a longer struct.
 *  - Out structs (smi_error, smi_estimate, smi_model_stats): the caller sets struct_size, the callee writes only inside it.
 *  - Fixed-width integers, UTF-8 text, no C++ types, no exceptions: nothing may be thrown through this boundary.
 *  - Text and arrays passed in are borrowed for the duration of the call unless the function says otherwise.
 *    Text and arrays handed out by a plugin stay valid until the object they describe is closed or unloaded.
 *  - Functions say which threads may call them. "Any thread" means concurrently, on the same object.
 *  - A function that fails fills *error (when not NULL) and returns a code other than SMI_OK; the code tells the
 *    caller's next move.
 */
#ifndef SMI_SMI_H_
#define SMI_SMI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMI_VERSION_MAJOR 1u
#define SMI_VERSION_MINOR 0u
#define SMI_MAKE_VERSION(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define SMI_VERSION SMI_MAKE_VERSION(SMI_VERSION_MAJOR, SMI_VERSION_MINOR)

/* True when `ptr`, whose struct_size says how far it reaches, holds `member`. */
#define SMI_HAS(ptr, type, member) \
  ((ptr)->struct_size >= offsetof(type, member) + sizeof(((const type*)0)->member))

/* Element `i` of an array of structs that begin with struct_size. */
#define SMI_AT(array, type, i) \
  ((const type*)(const void*)((const char*)(array) + (size_t)(i) * (array)->struct_size))

#if defined(__GNUC__)
#define SMI_EXPORT __attribute__((visibility("default")))
#else
#define SMI_EXPORT
#endif

/* What happened, and what the caller should do about it. */
typedef int32_t smi_code;
enum {
  SMI_OK = 0,
  SMI_INVALID_ARGUMENT = 1,   /* the call breaks this contract: fix the call */
  SMI_BAD_INPUT = 2,          /* an input does not fit the model (name, dtype, shape, value): fix the input */
  SMI_NOT_FOUND = 3,          /* a file or name is not there */
  SMI_UNSUPPORTED = 4,        /* this plugin or model cannot do that: do not retry */
  SMI_CORRUPT = 5,            /* the model's bytes are damaged or not of the stated format: reinstall */
  SMI_WRONG_STATE = 6,        /* not in this state: change the state first */
  SMI_UNAVAILABLE = 7,        /* busy or full: retry later */
  SMI_OUT_OF_MEMORY = 8,      /* not enough memory: free some, then retry */
  SMI_CANCELLED = 9,          /* smi_plugin_api.cancel or the sink asked for it */
  SMI_DEADLINE_EXCEEDED = 10, /* deadline_ns passed */
  SMI_INTERNAL = 11           /* a bug in the plugin or its engine */
};

/* A message for people. The caller owns the struct and sets struct_size; the callee writes code and message. */
typedef struct smi_error {
  uint32_t struct_size;
  smi_code code;
  char message[1016]; /* NUL-terminated UTF-8, cut when longer */
} smi_error;

/* Text that need not end with NUL. data may be NULL when size is 0. */
typedef struct smi_str {
  const char* data;
  uint64_t size;
} smi_str;

typedef int32_t smi_dtype;
enum {
  SMI_DTYPE_INVALID = 0,
  SMI_BOOL = 1, /* one byte, 0 or 1 */
  SMI_UINT8 = 2,
  SMI_UINT16 = 3,
  SMI_UINT32 = 4,
  SMI_UINT64 = 5,
  SMI_INT8 = 6,
  SMI_INT16 = 7,
  SMI_INT32 = 8,
  SMI_INT64 = 9,
  SMI_FP16 = 10,
  SMI_BF16 = 11,
  SMI_FP32 = 12,
  SMI_FP64 = 13,
  SMI_BYTES = 14 /* strings, each a uint32 little-endian length followed by that many bytes, back to back */
};

/* Where a tensor's bytes live. A plugin may refuse (SMI_UNSUPPORTED) anything but SMI_MEMORY_HOST. */
typedef int32_t smi_memory;
enum { SMI_MEMORY_HOST = 0, SMI_MEMORY_HOST_PINNED = 1, SMI_MEMORY_CUDA = 2, SMI_MEMORY_DMABUF = 3 };

/* A named, dense, row-major, little-endian tensor. Borrowed unless a function says otherwise. */
typedef struct smi_tensor {
  uint32_t struct_size;
  smi_dtype dtype;
  smi_str name;
  const int64_t* shape; /* rank entries, each >= 0; may be NULL when rank is 0 */
  uint32_t rank;
  smi_memory memory;
  int32_t device_id; /* 0 for host memory */
  uint32_t reserved; /* 0 */
  void* data;        /* may be NULL when size_bytes is 0 */
  uint64_t size_bytes;
} smi_tensor;

/* What a model declares about one input or output. */
enum {
  SMI_SPEC_OPTIONAL = 1u << 0 /* input: may be left out, the plugin has a default */
};
typedef struct smi_tensor_spec {
  uint32_t struct_size;
  smi_dtype dtype;
  smi_str name;
  const int64_t* shape;     /* rank entries; -1 = any size */
  const smi_str* dim_names; /* rank entries, empty where a dimension has no symbolic name; may be NULL */
  uint32_t rank;
  uint32_t flags;      /* SMI_SPEC_* */
  smi_str description; /* may be empty: what the default of an optional input is, units, ... */
} smi_tensor_spec;

/* Name and value as text, for options that only one plugin knows. */
typedef struct smi_option {
  smi_str name;
  smi_str value;
} smi_option;

/* What the host offers a plugin. Valid until close() has returned. */
typedef struct smi_host_api {
  uint32_t struct_size;
  uint32_t version; /* SMI_VERSION of the host */
  void* host;       /* first argument of the functions below */
  /* Any thread. level: 0 debug, 1 info, 2 warning, 3 error. Never log request contents. */
  void (*log)(void* host, int32_t level, smi_str message);
} smi_host_api;

typedef struct smi_plugin smi_plugin; /* one per process and library */
typedef struct smi_model smi_model;   /* a loaded model */
typedef struct smi_call smi_call;     /* a running execute or generate */

/* --- describing a plugin ------------------------------------------------------------------------------------- */

enum {
  SMI_CAP_EXECUTE = 1u << 0,         /* execute() with tensors */
  SMI_CAP_GENERATE = 1u << 1,        /* generate() with text */
  SMI_CAP_CANCEL = 1u << 2,          /* cancel() stops a call early */
  SMI_CAP_PARTIAL_OUTPUTS = 1u << 3, /* execute() may deliver an output in parts */
  SMI_CAP_CONCURRENT = 1u << 4,      /* calls on one model may overlap */
  SMI_CAP_CHAT_TEMPLATE = 1u << 5    /* generate() accepts messages */
};

typedef struct smi_plugin_info {
  uint32_t struct_size;
  uint32_t capabilities;     /* SMI_CAP_*, what the plugin can do for at least some models */
  smi_str name;              /* "onnxruntime"; unique; [a-z0-9-] */
  smi_str version;           /* of the plugin */
  smi_str engine_version;    /* of what it wraps, for example "1.32.0"; may be empty */
  const smi_str* formats;    /* execution formats: "onnx", "gguf", ... in manifest spelling */
  const smi_str* frameworks; /* frameworks whose models come in those formats: "pytorch", ... */
  uint32_t n_formats;
  uint32_t n_frameworks;
} smi_plugin_info;

/* --- loading ------------------------------------------------------------------------------------------------- */

typedef struct smi_load_params {
  uint32_t struct_size;
  uint32_t n_threads;        /* most CPU threads one call may use; 0 = the plugin decides */
  smi_str package_dir;       /* absolute path of the package folder */
  smi_str path;              /* absolute path of the file (or folder) to execute */
  smi_str format;            /* "onnx", "gguf", ... */
  uint32_t context_length;   /* language models: tokens of context; 0 = the model's own, within reason */
  uint32_t max_sequences;    /* language models: sequences decoded side by side; 0 = the plugin decides */
  const smi_option* options; /* plugin-specific; an unknown name is SMI_INVALID_ARGUMENT */
  uint32_t n_options;
  uint32_t reserved; /* 0 */
} smi_load_params;

/* Upper bounds: a load never takes more than was estimated. */
typedef struct smi_estimate {
  uint32_t struct_size;
  uint32_t reserved;       /* 0 */
  uint64_t private_bytes;  /* memory of this process alone */
  uint64_t mapped_bytes;   /* file pages mapped and shared with others */
  uint64_t device_bytes;   /* accelerator memory */
  uint64_t per_call_bytes; /* more, while one call runs at the model's usual size */
} smi_estimate;

/* --- describing a model -------------------------------------------------------------------------------------- */

typedef struct smi_model_info {
  uint32_t struct_size;
  uint32_t capabilities; /* SMI_CAP_*, of this model */
  const smi_tensor_spec* inputs;
  const smi_tensor_spec* outputs;
  uint32_t n_inputs;
  uint32_t n_outputs;
  uint32_t context_length;   /* language models: tokens; 0 = not a language model */
  uint32_t embedding_length; /* embedding models: width of the vector; else 0 */
  uint64_t parameter_count;  /* 0 = not known */
  smi_str architecture;      /* "bert", "llama", ...; may be empty */
  smi_str chat_template;     /* of the file; empty = none */
  int32_t batch_dimension; /* which dimension of every input is the batch; -1 = the model cannot be batched */
  uint32_t preferred_batch; /* 0 = no preference */
} smi_model_info;

typedef struct smi_model_stats {
  uint32_t struct_size;
  uint32_t running; /* calls under way */
  uint64_t calls_ok;
  uint64_t calls_failed;     /* cancelled ones included */
  uint64_t busy_ns;          /* sum of the wall time of finished calls */
  uint64_t tokens_prompt;    /* language models */
  uint64_t tokens_generated; /* language models */
  uint64_t private_bytes;    /* what the plugin itself knows it holds; 0 = not known */
} smi_model_stats;

/* --- executing ----------------------------------------------------------------------------------------------- */

typedef struct smi_timing {
  uint32_t struct_size;
  uint32_t reserved;   /* 0 */
  uint64_t prepare_ns; /* inputs: checks, defaults, copies */
  uint64_t compute_ns; /* the engine alone */
  uint64_t finish_ns;  /* outputs */
} smi_timing;

/*
 * Where the answer of execute() goes. The host owns the struct's contents until done() has returned; the plugin copies
 * the struct itself. Calls on one sink never overlap and come from any thread.
 */
typedef struct smi_output_sink {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void* ctx;
  /*
   * A whole output, borrowed for the call. part: 0 = complete; otherwise 1, 2, ... are partial outputs along dimension
   * 0 and the last one has SMI_PART_LAST set (SMI_CAP_PARTIAL_OUTPUTS). Anything but SMI_OK means: stop, then done().
   */
  smi_code (*output)(void* ctx, const smi_tensor* tensor, uint32_t part);
  /* Exactly once, last. error is NULL when code is SMI_OK; timing may be NULL. */
  void (*done)(void* ctx, smi_code code, const smi_error* error, const smi_timing* timing);
  /*
   * Optional (may be NULL): memory of the host for an output of that size, 64-byte aligned, for the plugin to fill in
   * place and then hand to output(). Once per output. Valid until done() is called. NULL = the host has none, use your
   * own.
   */
  void* (*reserve)(void* ctx, smi_str name, uint64_t size_bytes);
} smi_output_sink;
#define SMI_PART_LAST 0x80000000u

typedef struct smi_execute_params {
  uint32_t struct_size;
  uint32_t n_inputs;
  const smi_tensor*
      inputs; /* borrowed until done() has returned; each input of the model at most once, any order */
  const smi_str* outputs; /* names wanted; with n_outputs 0 every output */
  uint32_t n_outputs;
  uint32_t n_threads;  /* most CPU threads for this call; 0 = as loaded */
  int64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none; see smi_plugin_api.cancel */
  uint64_t request_id; /* for logs; 0 = none */
} smi_execute_params;

/* --- generating ---------------------------------------------------------------------------------------------- */

typedef struct smi_message {
  smi_str role; /* "system", "user", "assistant", ... as the chat template knows them */
  smi_str content;
} smi_message;

typedef int32_t smi_finish;
enum {
  SMI_FINISH_NONE = 0,
  SMI_FINISH_STOP = 1,   /* end-of-text token or a stop string */
  SMI_FINISH_LENGTH = 2, /* max_tokens, or the context is full */
  SMI_FINISH_CANCELLED = 3
};

typedef struct smi_generate_params {
  uint32_t struct_size;
  uint32_t n_messages;
  smi_str prompt; /* used as it is (tokenizer's own begin-of-text included); ignored when n_messages > 0 */
  const smi_message* messages; /* formatted with the model's chat template, assistant turn opened */
  const smi_str* stop;         /* strings that end generation; not part of the text */
  uint32_t n_stop;
  uint32_t max_tokens;  /* 0 = until the context is full */
  float temperature;    /* 0 = greedy; negative or NaN is SMI_INVALID_ARGUMENT */
  float top_p;          /* (0, 1]; 1 = off */
  float min_p;          /* [0, 1); 0 = off */
  float repeat_penalty; /* > 0; 1 = off; over the last 64 tokens */
  int32_t top_k;        /* 0 = off */
  uint32_t reserved;    /* 0 */
  uint64_t seed;        /* same seed, same text on the same build, threads and batch; 0 = random */
  int64_t deadline_ns;  /* CLOCK_MONOTONIC; 0 = none; see smi_plugin_api.cancel */
  uint64_t request_id;  /* for logs; 0 = none */
} smi_generate_params;

typedef struct smi_generate_result {
  uint32_t struct_size;
  smi_finish finish;
  uint32_t prompt_tokens;
  uint32_t completion_tokens;
  uint64_t queue_ns;  /* before the prompt was started */
  uint64_t prompt_ns; /* evaluating the prompt */
  uint64_t eval_ns;   /* generating */
} smi_generate_result;

/* Like smi_output_sink, for text. */
typedef struct smi_text_sink {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void* ctx;
  /* The next piece, whole UTF-8 characters, borrowed. Anything but SMI_OK means: stop, then done(). */
  smi_code (*text)(void* ctx, smi_str piece, uint32_t n_tokens);
  /* Exactly once, last. error is NULL when code is SMI_OK; result may be NULL on failure. */
  void (*done)(void* ctx, smi_code code, const smi_error* error, const smi_generate_result* result);
} smi_text_sink;

/* --- the plugin's table -------------------------------------------------------------------------------------- */

/* A slot may be NULL where the comment says "optional". */
typedef struct smi_plugin_api {
  uint32_t struct_size;
  uint32_t version; /* SMI version the plugin was written for: same major as the host's */

  /*
   * Before anything else, and again only after close(): a second open plugin may be SMI_WRONG_STATE. Options as in
   * smi_load_params. *plugin is passed back everywhere.
   */
  smi_code (*open)(const smi_host_api* host, const smi_option* options, uint32_t n_options,
                   smi_plugin** plugin, smi_error* error);
  /* Once, when every model is unloaded; SMI_WRONG_STATE, and nothing closed, when one is not. */
  smi_code (*close)(smi_plugin* plugin, smi_error* error);

  /* Any thread. The result lives as long as the plugin. */
  const smi_plugin_info* (*describe)(smi_plugin* plugin);

  /* Any thread. Reads headers only; never loads weights. */
  smi_code (*estimate)(smi_plugin* plugin, const smi_load_params* params, smi_estimate* out,
                       smi_error* error);

  /* Any thread; blocks. *model is ready for calls when SMI_OK is returned. The package folder must stay as it is. */
  smi_code (*load)(smi_plugin* plugin, const smi_load_params* params, smi_model** model, smi_error* error);
  /*
   * Any thread, once per model. SMI_WRONG_STATE, and nothing unloaded, while the done() of an accepted call has not been
   * called. A done() that has been called and is on its way out is waited for; so never from inside a sink.
   */
  smi_code (*unload)(smi_model* model, smi_error* error);

  /* Any thread. The result lives as long as the model. */
  const smi_model_info* (*describe_model)(smi_model* model);

  /*
   * Any thread. SMI_OK: accepted, sink->done() will be called exactly once, possibly before this returns. Otherwise the
   * sink is never called. The work may be done on the calling thread, which is then busy until the answer is there.
   * *call (when `call` is not NULL) is valid for cancel() until done() is called, and stays NULL, as the host set it,
   * when the call cannot be cancelled. A plugin writes it before it calls the sink and, when it works on the calling
   * thread, before it begins, by smi_publish_call(), because the host then reads it from another thread.
   * NULL slot without SMI_CAP_EXECUTE.
   */
  smi_code (*execute)(smi_model* model, const smi_execute_params* params, const smi_output_sink* sink,
                      smi_call** call, smi_error* error);

  /* As execute(), for text. Prompt, messages and stop strings are copied. NULL slot without SMI_CAP_GENERATE. */
  smi_code (*generate)(smi_model* model, const smi_generate_params* params, const smi_text_sink* sink,
                       smi_call** call, smi_error* error);

  /*
   * Any thread. Asks a running call to end soon with SMI_CANCELLED; returns at once and never calls the sink itself. The
   * caller must hold off done() (by a lock of its own taken in done() too) while it calls this, so that `call` is still
   * valid; so a plugin holds no lock that cancel() takes while it calls a sink. Optional; needed for SMI_CAP_CANCEL.
   * Deadlines: a plugin compares deadline_ns with the clock before it begins (SMI_DEADLINE_EXCEEDED, by return value or
   * through done()) and, where that is cheap, while it runs. The host calls cancel() when a deadline passes; a call that
   * ends so may report SMI_CANCELLED or SMI_DEADLINE_EXCEEDED.
   */
  void (*cancel)(smi_model* model, smi_call* call);

  /* Any thread. */
  smi_code (*model_stats)(smi_model* model, smi_model_stats* out, smi_error* error);

  /*
   * Optional; any thread. Tokens of `text` as this model's tokenizer sees it: writes at most `capacity` ids and sets *n to
   * how many there are.
   */
  smi_code (*tokenize)(smi_model* model, smi_str text, int32_t* ids, uint64_t capacity, uint64_t* n,
                       smi_error* error);
} smi_plugin_api;

/*
 * The one exported symbol. The host says which versions it speaks; a plugin that shares no major version with it returns
 * NULL and fills *error. Any thread; may be called more than once and returns the same table each time.
 */
#define SMI_PLUGIN_ENTRY "smi_plugin_entry"
typedef const smi_plugin_api* (*smi_plugin_entry_fn)(uint32_t host_version, smi_error* error);
SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error);

/* Plugin: makes `made`, complete, visible in *call to the threads of the host. `call` may be NULL. */
static inline void smi_publish_call(smi_call** call, smi_call* made) {
  if (call != NULL) __atomic_store_n(call, made, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#endif

#endif /* SMI_SMI_H_ */
