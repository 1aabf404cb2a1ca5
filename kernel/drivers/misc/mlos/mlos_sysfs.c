// SPDX-License-Identifier: GPL-2.0
/* Figures for people: sysfs, one value a file, under /sys/class/misc/mlos-ml/; debugfs, tables, under mlos/. */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>

#include "mlos.h"

static u64 queued(u32 class)
{
	return READ_ONCE(mlos_sched.status->queued[class]);
}

static u64 granted(u32 class)
{
	return READ_ONCE(mlos_sched.status->granted[class]);
}

#define VALUE(name, expression)                                                                           \
	static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)          \
	{                                                                                                 \
		return sysfs_emit(buf, "%llu\n", (u64)(expression));                                      \
	}                                                                                                 \
	static DEVICE_ATTR_RO(name)

VALUE(slots, mlos_sched.slots);
VALUE(slots_free, READ_ONCE(mlos_sched.slots_free));
VALUE(queued_realtime, queued(MLOS_PRIO_REALTIME));
VALUE(queued_high, queued(MLOS_PRIO_HIGH));
VALUE(queued_normal, queued(MLOS_PRIO_NORMAL));
VALUE(queued_batch, queued(MLOS_PRIO_BATCH));
VALUE(granted_realtime, granted(MLOS_PRIO_REALTIME));
VALUE(granted_high, granted(MLOS_PRIO_HIGH));
VALUE(granted_normal, granted(MLOS_PRIO_NORMAL));
VALUE(granted_batch, granted(MLOS_PRIO_BATCH));
VALUE(inferences_started, READ_ONCE(mlos_sched.starts));
VALUE(inferences_done, READ_ONCE(mlos_sched.dones));
VALUE(inferences_expired, READ_ONCE(mlos_sched.expired));
VALUE(inferences_reclaimed, READ_ONCE(mlos_sched.reclaimed));
VALUE(resident_bytes, READ_ONCE(mlos_memory.lru.resident) << PAGE_SHIFT);
VALUE(evicted_tensors, READ_ONCE(mlos_memory.lru.evicted_nodes));
VALUE(evicted_bytes, READ_ONCE(mlos_memory.lru.evicted) << PAGE_SHIFT);
VALUE(shrunk_bytes, READ_ONCE(mlos_memory.shrunk_pages) << PAGE_SHIFT);
VALUE(dedup_hashed, READ_ONCE(mlos_memory.hashed));
VALUE(dedup_duplicates, READ_ONCE(mlos_memory.duplicates));
VALUE(dedup_saved_bytes, READ_ONCE(mlos_memory.saved_pages) << PAGE_SHIFT);
VALUE(dedup_collisions, READ_ONCE(mlos_memory.collisions));

static struct attribute *attributes[] = {
	&dev_attr_slots.attr,		   &dev_attr_slots_free.attr,	     &dev_attr_queued_realtime.attr,
	&dev_attr_queued_high.attr,	   &dev_attr_queued_normal.attr,     &dev_attr_queued_batch.attr,
	&dev_attr_granted_realtime.attr,   &dev_attr_granted_high.attr,	     &dev_attr_granted_normal.attr,
	&dev_attr_granted_batch.attr,	   &dev_attr_inferences_started.attr, &dev_attr_inferences_done.attr,
	&dev_attr_inferences_expired.attr, &dev_attr_inferences_reclaimed.attr, &dev_attr_resident_bytes.attr,
	&dev_attr_evicted_tensors.attr,	   &dev_attr_evicted_bytes.attr,     &dev_attr_shrunk_bytes.attr,
	&dev_attr_dedup_hashed.attr,	   &dev_attr_dedup_duplicates.attr,  &dev_attr_dedup_saved_bytes.attr,
	&dev_attr_dedup_collisions.attr,   NULL,
};

static const struct attribute_group group = { .attrs = attributes };
const struct attribute_group *mlos_sysfs_groups[] = { &group, NULL };

/* --- debugfs -------------------------------------------------------------------------------------------------------- */

static struct dentry *debug_dir;

static void show_inference(struct mlos_idnode *node, void *arg)
{
	const struct mlos_inference *i = container_of(node, struct mlos_inference, node);
	const char *state = i->expired ? "expired" : i->reclaimed ? "reclaimed" : i->granted_ns ? "granted" : "queued";

	seq_printf(arg, "%llu %d %u %u %s %llu %s\n", i->node.id, mlos_account_process(i->file->account), i->priority, i->threads, state,
		   ktime_get_ns() - i->started_ns, i->model->name);
}

static int inferences_show(struct seq_file *m, void *unused)
{
	struct mlos_file *file;

	seq_puts(m, "id process class threads state age_ns model\n");
	mutex_lock(&mlos_files.lock);
	mutex_lock(&mlos_sched.lock);
	list_for_each_entry(file, &mlos_files.list, link)
		mlos_idtable_each(&file->inferences, show_inference, m);
	mutex_unlock(&mlos_sched.lock);
	mutex_unlock(&mlos_files.lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(inferences);

static int tensors_show(struct seq_file *m, void *unused)
{
	struct mlos_body *body;

	seq_puts(m, "bytes resident_kb pins mappings sharers node process\n");
	mutex_lock(&mlos_memory.lock);
	list_for_each_entry(body, &mlos_memory.lru.nodes, lru.link)
		seq_printf(m, "%llu %llu %u %d %u %d %d\n", body->bytes, body->lru.charged << (PAGE_SHIFT - 10),
			   READ_ONCE(body->pins), atomic_read(&body->maps), body->sharers, body->node,
			   mlos_account_process(body->account));
	mutex_unlock(&mlos_memory.lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tensors);

void mlos_debugfs_init(void)
{
	debug_dir = debugfs_create_dir("mlos", NULL);
	debugfs_create_file("inferences", 0400, debug_dir, NULL, &inferences_fops);
	debugfs_create_file("tensors", 0400, debug_dir, NULL, &tensors_fops);
}

void mlos_debugfs_exit(void)
{
	debugfs_remove(debug_dir);
}
