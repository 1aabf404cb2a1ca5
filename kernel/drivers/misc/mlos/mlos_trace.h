/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mlos

#if !defined(MLOS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MLOS_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(mlos_start,
	TP_PROTO(u64 id, u32 priority, u32 threads, u64 deadline_ns),
	TP_ARGS(id, priority, threads, deadline_ns),
	TP_STRUCT__entry(__field(u64, id) __field(u32, priority) __field(u32, threads) __field(u64, deadline_ns)),
	TP_fast_assign(__entry->id = id; __entry->priority = priority; __entry->threads = threads;
		       __entry->deadline_ns = deadline_ns;),
	TP_printk("id=%llu priority=%u threads=%u deadline_ns=%llu", __entry->id, __entry->priority, __entry->threads,
		  __entry->deadline_ns)
);

TRACE_EVENT(mlos_grant,
	TP_PROTO(u64 id, u32 priority, u32 threads, u64 queued_ns),
	TP_ARGS(id, priority, threads, queued_ns),
	TP_STRUCT__entry(__field(u64, id) __field(u32, priority) __field(u32, threads) __field(u64, queued_ns)),
	TP_fast_assign(__entry->id = id; __entry->priority = priority; __entry->threads = threads;
		       __entry->queued_ns = queued_ns;),
	TP_printk("id=%llu priority=%u threads=%u queued_ns=%llu", __entry->id, __entry->priority, __entry->threads,
		  __entry->queued_ns)
);

TRACE_EVENT(mlos_done,
	TP_PROTO(u64 id, u32 priority, u64 duration_ns, u32 deadline_met),
	TP_ARGS(id, priority, duration_ns, deadline_met),
	TP_STRUCT__entry(__field(u64, id) __field(u32, priority) __field(u64, duration_ns) __field(u32, deadline_met)),
	TP_fast_assign(__entry->id = id; __entry->priority = priority; __entry->duration_ns = duration_ns;
		       __entry->deadline_met = deadline_met;),
	TP_printk("id=%llu priority=%u duration_ns=%llu deadline_met=%u", __entry->id, __entry->priority,
		  __entry->duration_ns, __entry->deadline_met)
);

DECLARE_EVENT_CLASS(mlos_id_priority,
	TP_PROTO(u64 id, u32 priority),
	TP_ARGS(id, priority),
	TP_STRUCT__entry(__field(u64, id) __field(u32, priority)),
	TP_fast_assign(__entry->id = id; __entry->priority = priority;),
	TP_printk("id=%llu priority=%u", __entry->id, __entry->priority)
);
DEFINE_EVENT(mlos_id_priority, mlos_expire, TP_PROTO(u64 id, u32 priority), TP_ARGS(id, priority));
DEFINE_EVENT(mlos_id_priority, mlos_reclaim, TP_PROTO(u64 id, u32 priority), TP_ARGS(id, priority));

TRACE_EVENT(mlos_evict,
	TP_PROTO(u64 bytes, bool lost),
	TP_ARGS(bytes, lost),
	TP_STRUCT__entry(__field(u64, bytes) __field(bool, lost)),
	TP_fast_assign(__entry->bytes = bytes; __entry->lost = lost;),
	TP_printk("bytes=%llu lost=%d", __entry->bytes, __entry->lost)
);

#endif /* MLOS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE mlos_trace
#include <trace/define_trace.h>
