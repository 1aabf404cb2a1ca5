// SPDX-License-Identifier: GPL-2.0
/* Accelerators: what the PCI bus knows of the real ones, and simulated ones that have a memory pool. */
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "mlos.h"

struct mlos_sim_gpu {
	struct mutex lock;
	struct mlos_pool pool;
};

static struct mlos_sim_gpu *sim_gpus;
static u32 n_sim_gpus;

static bool is_accelerator(struct pci_dev *dev)
{
	u32 base = dev->class >> 16;

	return base == PCI_BASE_CLASS_DISPLAY || base == 0x12 /* processing accelerators */;
}

static u64 largest_prefetchable_bar(struct pci_dev *dev)
{
	u64 largest = 0;
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (pci_resource_flags(dev, bar) & IORESOURCE_PREFETCH)
			largest = max_t(u64, largest, pci_resource_len(dev, bar));
	return largest;
}

static void describe_pci(struct pci_dev *dev, struct mlos_gpu *out)
{
	out->vendor = dev->vendor;
	out->device = dev->device;
	out->subsystem_vendor = dev->subsystem_vendor;
	out->subsystem_device = dev->subsystem_device;
	out->pci_domain = pci_domain_nr(dev->bus);
	out->pci_bus = dev->bus->number;
	out->pci_slot = PCI_SLOT(dev->devfn);
	out->pci_function = PCI_FUNC(dev->devfn);
	out->pci_class = dev->class;
	out->numa_node = dev_to_node(&dev->dev);
	out->memory_total = largest_prefetchable_bar(dev);
	device_lock(&dev->dev);
	if (dev->dev.driver)
		strscpy(out->name, dev->dev.driver->name, sizeof(out->name));
	device_unlock(&dev->dev);
}

static void describe_simulated(u32 index, struct mlos_gpu *out)
{
	struct mlos_sim_gpu *gpu = &sim_gpus[index];

	out->flags = MLOS_GPU_SIMULATED;
	out->numa_node = NUMA_NO_NODE;
	mutex_lock(&gpu->lock);
	out->memory_total = gpu->pool.size;
	out->memory_used = gpu->pool.used;
	mutex_unlock(&gpu->lock);
	strscpy(out->name, "simulated", sizeof(out->name));
}

/* Counted when asked, and again after the bus changed: how many there were, and above that at which change. */
static atomic64_t pci_count;
static atomic_t bus_changes = ATOMIC_INIT(1);

static int bus_changed(struct notifier_block *block, unsigned long action, void *device)
{
	if (action == BUS_NOTIFY_ADD_DEVICE || action == BUS_NOTIFY_REMOVED_DEVICE)
		atomic_inc(&bus_changes);
	return NOTIFY_OK;
}

static struct notifier_block bus_watch = { .notifier_call = bus_changed };

u32 mlos_gpu_count(void)
{
	struct pci_dev *dev = NULL;
	u32 change = atomic_read(&bus_changes), count = 0;
	u64 counted = atomic64_read(&pci_count);

	if (upper_32_bits(counted) == change)
		return n_sim_gpus + lower_32_bits(counted);
	for_each_pci_dev(dev)
		count += is_accelerator(dev);
	atomic64_set(&pci_count, (u64)change << 32 | count);
	return n_sim_gpus + count;
}

/* Simulated ones come first, so that their indices do not depend on what is plugged in. */
long mlos_ioc_gpu_list(struct mlos_file *file, void *arg)
{
	struct mlos_gpu_list *a = arg;
	struct mlos_gpu __user *to = u64_to_user_ptr(a->gpus);
	struct pci_dev *dev = NULL;
	struct mlos_gpu out;
	u32 n;

	if (a->flags || a->count > MLOS_MAX_GPUS || a->element_size != sizeof(out))
		return -EINVAL;
	for (n = 0; n < n_sim_gpus; n++) {
		memset(&out, 0, sizeof(out));
		out.index = n;
		describe_simulated(n, &out);
		if (n < a->count && copy_to_user(&to[n], &out, sizeof(out)))
			return -EFAULT;
	}
	for_each_pci_dev(dev) {
		if (!is_accelerator(dev))
			continue;
		memset(&out, 0, sizeof(out));
		out.index = n;
		describe_pci(dev, &out);
		if (n < a->count && copy_to_user(&to[n], &out, sizeof(out))) {
			pci_dev_put(dev);
			return -EFAULT;
		}
		n++;
	}
	a->count = n;
	return 0;
}

int mlos_gpu_take(struct mlos_tensor *tensor, u32 index, u64 bytes)
{
	struct mlos_sim_gpu *gpu;
	int ret;

	if (index >= mlos_gpu_count())
		return -ENODEV;
	if (index >= n_sim_gpus)
		return -EOPNOTSUPP;
	gpu = &sim_gpus[index];
	mutex_lock(&gpu->lock);
	ret = mlos_pool_take(&gpu->pool, &tensor->extent, bytes);
	mutex_unlock(&gpu->lock);
	if (!ret)
		tensor->gpu = gpu;
	return ret;
}

void mlos_gpu_give(struct mlos_tensor *tensor)
{
	if (!tensor->gpu)
		return;
	mutex_lock(&tensor->gpu->lock);
	mlos_pool_give(&tensor->gpu->pool, &tensor->extent);
	mutex_unlock(&tensor->gpu->lock);
}

int mlos_gpu_node(u32 index)
{
	struct pci_dev *dev = NULL;
	u32 n = n_sim_gpus;
	int node;

	if (index < n_sim_gpus)
		return NUMA_NO_NODE;
	for_each_pci_dev(dev) {
		if (!is_accelerator(dev) || n++ != index)
			continue;
		node = dev_to_node(&dev->dev);
		pci_dev_put(dev);
		return node;
	}
	return NUMA_NO_NODE;
}

long mlos_ioc_gpu_select(struct mlos_file *file, void *arg)
{
	struct mlos_gpu_select *a = arg;
	bool found = false;
	u32 n;

	if (a->flags || a->reserved)
		return -EINVAL;
	if (!n_sim_gpus)
		return -ENODEV;
	for (n = 0; n < n_sim_gpus; n++) {
		struct mlos_sim_gpu *gpu = &sim_gpus[n];
		u64 free_bytes, largest;

		mutex_lock(&gpu->lock);
		free_bytes = gpu->pool.size - gpu->pool.used;
		largest = mlos_pool_largest_free(&gpu->pool);
		mutex_unlock(&gpu->lock);
		if (largest < a->bytes || (found && free_bytes <= a->free_bytes))
			continue;
		found = true;
		a->gpu = n;
		a->free_bytes = free_bytes;
		a->largest_free = largest;
	}
	return found ? 0 : -ENOSPC;
}

static bool stays(const struct mlos_extent *extent)
{
	return atomic_read(&container_of(extent, struct mlos_tensor, extent)->pinned);
}

long mlos_ioc_memory_defrag(struct mlos_file *file, void *arg)
{
	struct mlos_memory_defrag *a = arg;
	struct mlos_compaction done;

	if (a->flags)
		return -EINVAL;
	if (a->gpu >= mlos_gpu_count())
		return -ENODEV;
	if (a->gpu >= n_sim_gpus)
		return -EOPNOTSUPP;
	mutex_lock(&sim_gpus[a->gpu].lock);
	mlos_pool_compact(&sim_gpus[a->gpu].pool, stays, &done);
	mutex_unlock(&sim_gpus[a->gpu].lock);
	a->moved = done.moved;
	a->moved_bytes = done.moved_bytes;
	a->largest_free_before = done.largest_before;
	a->largest_free_after = done.largest_after;
	return 0;
}

int mlos_gpu_init(void)
{
	u32 n;
	int ret;

	n_sim_gpus = mlos_enable_gpu_manager ? mlos_sim_gpus : 0;
	sim_gpus = kcalloc(n_sim_gpus ?: 1, sizeof(*sim_gpus), GFP_KERNEL);
	if (!sim_gpus)
		return -ENOMEM;
	for (n = 0; n < n_sim_gpus; n++) {
		mutex_init(&sim_gpus[n].lock);
		mlos_pool_init(&sim_gpus[n].pool, (u64)mlos_sim_gpu_mb << 20);
	}
	ret = bus_register_notifier(&pci_bus_type, &bus_watch);
	if (ret)
		kfree(sim_gpus);
	return ret;
}

void mlos_gpu_exit(void)
{
	u32 n;

	bus_unregister_notifier(&pci_bus_type, &bus_watch);
	for (n = 0; n < n_sim_gpus; n++)
		WARN_ON(sim_gpus[n].pool.count);
	kfree(sim_gpus);
}
