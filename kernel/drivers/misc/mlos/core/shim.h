/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the portable core needs from its surroundings: in the kernel the kernel's own, in a user-space test program the C
 * library's. The core never locks, sleeps or reads a clock; its callers pass times in and hold the lock.
 */
#ifndef MLOS_CORE_SHIM_H
#define MLOS_CORE_SHIM_H

#ifdef __KERNEL__

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>

static inline void *mlos_zalloc(size_t n, size_t element)
{
	return kvcalloc(n, element, GFP_KERNEL_ACCOUNT);
}

static inline void mlos_free(void *p)
{
	kvfree(p);
}

#else /* user space */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define U32_MAX UINT32_MAX
#define U64_MAX UINT64_MAX
#define S64_MAX INT64_MAX
#define WARN_ON_ONCE(condition) ({ bool bad_ = !!(condition); assert(!bad_); bad_; })
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)
#define min(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define max(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

/* The part of the kernel's list interface that the core uses. */
struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list_head *list)
{
	return list->next == list;
}

static inline void list_add_tail(struct list_head *entry, struct list_head *list)
{
	entry->prev = list->prev;
	entry->next = list;
	list->prev->next = entry;
	list->prev = entry;
}

static inline void list_del_init(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	INIT_LIST_HEAD(entry);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *list)
{
	list_del_init(entry);
	list_add_tail(entry, list);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(list, type, member) list_entry((list)->next, type, member)
#define list_for_each_entry(pos, list, member)                                                     \
	for (pos = list_entry((list)->next, __typeof__(*pos), member); &pos->member != (list);     \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
/* `pos` may be taken out of the list. */
#define list_for_each_entry_safe(pos, after, list, member)                                         \
	for (pos = list_entry((list)->next, __typeof__(*pos), member),                             \
	    after = list_entry(pos->member.next, __typeof__(*pos), member);                        \
	     &pos->member != (list);                                                               \
	     pos = after, after = list_entry(after->member.next, __typeof__(*after), member))

static inline void *mlos_zalloc(size_t n, size_t element)
{
	return calloc(n, element);
}

static inline void mlos_free(void *p)
{
	free(p);
}

#endif
#endif /* MLOS_CORE_SHIM_H */
