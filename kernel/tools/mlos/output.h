/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mlosctl prints: rows of named values, as a table for people or as JSON for programs. In JSON a table is an array of objects,
 * numbers are plain, and keys are the names given here with their unit behind them: resident_bytes, p99_ns.
 */
#ifndef MLOSCTL_OUTPUT_H
#define MLOSCTL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

enum unit { PLAIN, BYTES, NANOSECONDS };

void output_as_json(bool json);

/* One table, or several under their names between document_begin and document_end. */
void document_begin(void);
void document_end(void);
void table_begin(const char *name);
void table_end(void);
/* A record: one row that people read as lines. */
void record_begin(const char *name);
void record_end(void);

void row_begin(void);
void put_number(const char *key, uint64_t value, enum unit unit);
void put_signed(const char *key, int64_t value);
/* At most `size` bytes, ends at a NUL. Bytes that are no printable UTF-8 are replaced. */
void put_text(const char *key, const char *value, unsigned int size);
void row_end(void);

#endif
