/* SPDX-License-Identifier: Apache-2.0 */
/* Hugging Face's tokenizers library behind plain C functions (static library mlos_tokenizers, built by cargo).
 *
 * Functions that can fail return 0 on success, else nonzero with *error set (release it with mlos_tokenizers_free_text);
 * outputs are then untouched. No function unwinds into the caller: a panic inside the library becomes an error.
 * A tokenizer may be used by any number of threads at once; an mlos_encodings belongs to whoever made it.
 * Work happens on the calling thread only. Text is UTF-8, not zero-terminated, borrowed for the call. */
#ifndef MLOS_TOKENIZERS_C_H
#define MLOS_TOKENIZERS_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mlos_tokenizer mlos_tokenizer;
typedef struct mlos_encodings mlos_encodings;

/* Borrowed as an argument; owned by the receiver when it comes out of a function. */
typedef struct mlos_text {
  const char* data;
  size_t size;
} mlos_text;

/* What tokenizer.json says about padding and truncation. The tokenizer itself does neither: the caller does, and tells. */
typedef struct mlos_tokenizer_info {
  uint32_t vocabulary_size; /* added tokens included */
  uint32_t pad_id;          /* meaningful when has_padding */
  uint32_t pad_type_id;
  uint32_t truncation_length; /* 0 = none given */
  uint8_t has_padding;
  uint8_t pad_left;
  uint8_t truncate_left;
  uint8_t reserved;
} mlos_tokenizer_info;

/* One encoded text. The arrays have `size` entries (offsets: 2 * size, begin and end in bytes of the text) and live as long
 * as the mlos_encodings. */
typedef struct mlos_encoding {
  size_t size;
  const uint32_t* ids;
  const uint32_t* type_ids;
  const uint32_t* attention_mask;
  const uint32_t*
      special_mask; /* 1 = put in by the tokenizer's template ([CLS], [SEP] ...), not part of the text */
  const uint64_t* offsets; /* NULL unless asked for */
} mlos_encoding;

enum {
  MLOS_TOKENIZE_SPECIAL = 1, /* put in the special tokens of the template */
  MLOS_TOKENIZE_OFFSETS = 2  /* fill `offsets` */
};

/* Reads the bytes of a tokenizer.json. Truncation and padding it may carry are switched off. */
int mlos_tokenizer_create(mlos_text json, mlos_tokenizer** tokenizer, mlos_text* error);
void mlos_tokenizer_destroy(mlos_tokenizer* tokenizer); /* NULL is fine */

void mlos_tokenizer_get_info(const mlos_tokenizer* tokenizer, mlos_tokenizer_info* info);

/* The id of a token, or -1. */
int64_t mlos_tokenizer_token_id(const mlos_tokenizer* tokenizer, mlos_text token);

/* Encodes `count` texts; with `pairs` not NULL each text together with pairs[i]. Text that is not UTF-8 is an error that names
 * its index. `flags`: MLOS_TOKENIZE_*. */
int mlos_tokenizer_encode(const mlos_tokenizer* tokenizer, const mlos_text* texts, const mlos_text* pairs,
                          size_t count, uint32_t flags, mlos_encodings** encodings, mlos_text* error);

size_t mlos_encodings_count(const mlos_encodings* encodings);
/* `index` must be below the count. */
void mlos_encodings_get(const mlos_encodings* encodings, size_t index, mlos_encoding* encoding);
void mlos_encodings_destroy(mlos_encodings* encodings); /* NULL is fine */

/* The text of token ids; `skip_special` leaves special tokens out. Release *text with mlos_tokenizers_free_text. */
int mlos_tokenizer_decode(const mlos_tokenizer* tokenizer, const uint32_t* ids, size_t count,
                          int skip_special, mlos_text* text, mlos_text* error);

void mlos_tokenizers_free_text(mlos_text text); /* an empty text is fine */

#ifdef __cplusplus
}
#endif
#endif
