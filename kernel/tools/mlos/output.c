// SPDX-License-Identifier: GPL-2.0
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 24
#define MAX_CELL 200

static bool json, in_document, is_record;
static int tables, rows, columns, n_cells;
static const char *keys[MAX_COLUMNS];
static bool right[MAX_COLUMNS];
static char *(*cells)[MAX_COLUMNS];
static const char *title;

void output_as_json(bool on)
{
	json = on;
}

void document_begin(void)
{
	in_document = true;
	if (json)
		printf("{");
}

void document_end(void)
{
	in_document = false;
	if (json)
		printf("}\n");
}

static void begin(const char *name, bool record)
{
	title = name;
	is_record = record;
	rows = columns = 0;
	if (json) {
		if (in_document)
			printf("%s\"%s\":", tables ? "," : "", name);
		if (!record)
			printf("[");
	}
	tables++;
}

void table_begin(const char *name)
{
	begin(name, false);
}

void record_begin(const char *name)
{
	begin(name, true);
	row_begin();
}

static void *grown(void *block, size_t size)
{
	void *bigger = realloc(block, size);

	if (!bigger) {
		fprintf(stderr, "error: out of memory\n");
		exit(1);
	}
	return bigger;
}

void row_begin(void)
{
	n_cells = 0;
	if (json) {
		printf("%s{", rows ? "," : "");
		return;
	}
	cells = grown(cells, (size_t)(rows + 1) * sizeof(*cells));
	memset(cells[rows], 0, sizeof(*cells));
}

static void add_cell(const char *key, const char *text, bool number)
{
	if (n_cells == MAX_COLUMNS)
		abort();
	keys[n_cells] = key;
	right[n_cells] = number;
	cells[rows][n_cells] = strcpy(grown(NULL, strlen(text) + 1), text);
	n_cells++;
	if (n_cells > columns)
		columns = n_cells;
}

static void json_key(const char *key, enum unit unit)
{
	printf("%s\"%s%s\":", n_cells++ ? "," : "", key, unit == BYTES ? "_bytes" : unit == NANOSECONDS ? "_ns" : "");
}

static void human(char *text, size_t size, uint64_t value, enum unit unit)
{
	static const char *const bytes[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static const char *const times[] = { "ns", "us", "ms", "s" };
	double scaled = (double)value, step = unit == BYTES ? 1024 : 1000;
	int i = 0, last = unit == BYTES ? 4 : 3;

	if (unit == PLAIN) {
		snprintf(text, size, "%" PRIu64, value);
		return;
	}
	while (scaled >= step && i < last) {
		scaled /= step;
		i++;
	}
	snprintf(text, size, i ? "%.1f %s" : "%.0f %s", scaled, unit == BYTES ? bytes[i] : times[i]);
}

void put_number(const char *key, uint64_t value, enum unit unit)
{
	char text[40];

	if (json) {
		json_key(key, unit);
		printf("%" PRIu64, value);
		return;
	}
	human(text, sizeof(text), value, unit);
	add_cell(key, text, true);
}

void put_signed(const char *key, int64_t value)
{
	char text[40];

	if (json) {
		json_key(key, PLAIN);
		printf("%" PRId64, value);
		return;
	}
	snprintf(text, sizeof(text), "%" PRId64, value);
	add_cell(key, text, true);
}

/* Length of the printable UTF-8 sequence at s, 0 when there is none. */
static unsigned int sequence(const unsigned char *s, unsigned int left)
{
	unsigned int n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t point, i;

	if (!n || n > left)
		return 0;
	point = n == 1 ? s[0] : s[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (point < 0x20 || (point >= 0x7f && point < 0xa0) || (n == 3 && point < 0x800) || (n == 2 && point < 0x80) ||
	    (n == 4 && point < 0x10000) || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
		return 0;
	return n;
}

void put_text(const char *key, const char *value, unsigned int size)
{
	const unsigned char *s = (const unsigned char *)value;
	unsigned int length = (unsigned int)strnlen(value, size), at = 0;
	char text[MAX_CELL];
	size_t used = 0;

	while (at < length && used < sizeof(text) - 8) {
		unsigned int n = sequence(s + at, length - at);

		if (!n) {
			text[used++] = '?';
			at++;
			continue;
		}
		if (json && (s[at] == '"' || s[at] == '\\'))
			text[used++] = '\\';
		memcpy(text + used, s + at, n);
		used += n;
		at += n;
	}
	text[used] = 0;
	if (json) {
		json_key(key, PLAIN);
		printf("\"%s\"", text);
		return;
	}
	add_cell(key, text, false);
}

void row_end(void)
{
	if (json)
		printf("}");
	rows++;
}

/* Columns that a terminal shows: not the continuation bytes of UTF-8. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_cell(const char *text, int wanted, bool to_the_right, bool last)
{
	int pad = wanted - width(text);

	if (to_the_right)
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	printf(last ? "\n" : "  ");
}

static void print_table(void)
{
	int widths[MAX_COLUMNS] = { 0 }, r, c;

	for (c = 0; c < columns; c++) {
		widths[c] = width(keys[c]);
		for (r = 0; r < rows; r++)
			if (width(cells[r][c]) > widths[c])
				widths[c] = width(cells[r][c]);
	}
	for (c = 0; c < columns; c++)
		print_cell(keys[c], widths[c], right[c], c == columns - 1);
	for (r = 0; r < rows; r++)
		for (c = 0; c < columns; c++)
			print_cell(cells[r][c], widths[c], right[c], c == columns - 1);
}

static void print_record(void)
{
	int widest = 0, c;

	for (c = 0; c < columns; c++)
		if (width(keys[c]) > widest)
			widest = width(keys[c]);
	for (c = 0; c < columns; c++)
		printf("%s%*s  %s\n", keys[c], widest - width(keys[c]), "", cells[0][c]);
}

static void end(void)
{
	int r, c;

	if (json) {
		printf(is_record ? "" : "]");
		if (!in_document)
			printf("\n");
		return;
	}
	if (in_document)
		printf("%s%s\n", tables > 1 ? "\n" : "", title);
	if (is_record)
		print_record();
	else if (rows)
		print_table();
	else
		printf("none\n");
	for (r = 0; r < rows; r++)
		for (c = 0; c < columns; c++)
			free(cells[r][c]);
}

void table_end(void)
{
	end();
}

void record_end(void)
{
	row_end();
	end();
}
