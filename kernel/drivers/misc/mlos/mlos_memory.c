// SPDX-License-Identifier: GPL-2.0
/* The pages of tensors: allocated where they should be, counted, found equal, evicted. */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/topology.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "mlos.h"
#include "mlos_trace.h"

struct mlos_memory mlos_memory;

/* So many at least when a control group is full, so that not every page costs a look at all tensors. */
#define GROUP_EVICT_PAGES 64

unsigned long mlos_memory_limit_pages(void)
{
	return min(READ_ONCE(mlos_memory_limit_mb), ULONG_MAX >> 20) << (20 - PAGE_SHIFT);
}

static struct mlos_node_stats *node_of(struct page *page)
{
	return &mlos_memory.nodes[page_to_nid(page)];
}

/* --- bodies ------------------------------------------------------------------------------------------------------------ */

struct mlos_body *mlos_body_new(u64 bytes, s32 node, bool strict, struct mlos_account *account)
{
	struct mlos_body *body = kzalloc(sizeof(*body), GFP_KERNEL_ACCOUNT);

	if (!body)
		return NULL;
	body->n_pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	xa_init_flags(&body->pages, XA_FLAGS_ACCOUNT);
	kref_init(&body->ref);
	mutex_init(&body->lock);
	mlos_lru_node_init(&body->lru);
	INIT_LIST_HEAD(&body->shared);
	body->bytes = bytes;
	body->node = node;
	body->strict = strict;
	body->sharers = 1;
	kref_get(&account->ref);
	body->account = account;
	return body;
}

/* Nobody else looks at the body, or its lock is held. Returns how many pages went. */
static unsigned long free_pages_of(struct mlos_body *body)
{
	unsigned long i, freed = 0;
	struct page *page;

	xa_for_each(&body->pages, i, page) {
		atomic64_dec(&node_of(page)->pages);
		put_page(page);
		freed++;
	}
	xa_destroy(&body->pages);
	body->resident = 0;
	atomic64_sub(freed, &body->account->resident_pages);
	return freed;
}

static void publish_resident(void)
{
	mlos_status_set_resident(mlos_memory.lru.resident << PAGE_SHIFT);
}

static void uncharge(struct mlos_body *body, u64 pages)
{
	lockdep_assert_held(&mlos_memory.lock);
	mlos_lru_uncharge(&mlos_memory.lru, &body->lru, pages);
	publish_resident();
}

static void body_release(struct kref *ref)
{
	struct mlos_body *body = container_of(ref, struct mlos_body, ref);

	list_del_init(&body->shared);
	uncharge(body, body->lru.charged);
	mutex_unlock(&mlos_memory.lock);
	free_pages_of(body);
	/* The file keeps the file system mounted. */
	iput(body->source);
	if (body->backing)
		fput(body->backing);
	mlos_account_put(body->account);
	mutex_destroy(&body->lock);
	kfree(body);
}

void mlos_body_put(struct mlos_body *body)
{
	kref_put_mutex(&body->ref, body_release, &mlos_memory.lock);
}

void mlos_body_used(struct mlos_body *body)
{
	mutex_lock(&mlos_memory.lock);
	mlos_lru_used(&mlos_memory.lru, &body->lru);
	mutex_unlock(&mlos_memory.lock);
}

/* --- eviction ------------------------------------------------------------------------------------------------------------ */

/* body->lock held. Mapped means in use: whoever maps a tensor reads it when it likes. */
static bool may_evict(const struct mlos_body *body)
{
	if (body->pins || body->joined || atomic_read(&body->maps))
		return false;
	return (body->backing && !body->dirty) || body->discardable;
}

/*
 * mlos_memory.lock held. Pages that went; 0 when it has to stay, is being used right now, or belongs to another control group than
 * `memcg` (NULL = any).
 */
static u64 evict(struct mlos_lru_node *node, void *memcg)
{
	struct mlos_body *body = container_of(node, struct mlos_body, lru);
	u64 freed = 0;

	if (memcg && body->account->memcg != memcg)
		return 0;
	if (!mutex_trylock(&body->lock))
		return 0;
	if (may_evict(body)) {
		body->lost = !body->backing || body->dirty;
		freed = free_pages_of(body);
		trace_mlos_evict(freed << PAGE_SHIFT, body->lost);
	}
	mutex_unlock(&body->lock);
	return freed;
}

static u64 evict_down_to(u64 target, struct mem_cgroup *memcg, u32 *tensors)
{
	u64 freed;

	lockdep_assert_held(&mlos_memory.lock);
	freed = mlos_lru_evict(&mlos_memory.lru, target, evict, memcg, tensors);
	publish_resident();
	return freed;
}

void mlos_memory_evict_to(u64 target_pages, u32 *tensors, u64 *pages)
{
	*tensors = 0;
	mutex_lock(&mlos_memory.lock);
	*pages = evict_down_to(target_pages, NULL, tensors);
	mutex_unlock(&mlos_memory.lock);
}

void mlos_memory_apply_limit(void)
{
	unsigned long limit = mlos_memory_limit_pages();
	u32 unused = 0;

	mutex_lock(&mlos_memory.lock);
	if (limit)
		evict_down_to(limit, NULL, &unused);
	publish_resident();
	mutex_unlock(&mlos_memory.lock);
}

/* Makes room in a control group that is full: the kernel's own reclaim there does not reach tensors. */
static bool evict_in_group(struct mem_cgroup *memcg)
{
	u32 tensors = 0;
	u64 target;

	if (!memcg)
		return false;
	mutex_lock(&mlos_memory.lock);
	target = mlos_memory.lru.resident;
	target -= min_t(u64, target, GROUP_EVICT_PAGES);
	evict_down_to(target, memcg, &tensors);
	mutex_unlock(&mlos_memory.lock);
	return tensors != 0;
}

/* One more page for the body; evicts others unless `optional`. */
static int charge(struct mlos_body *body, bool optional)
{
	unsigned long limit = mlos_memory_limit_pages();
	u32 unused = 0;
	int ret;

	mutex_lock(&mlos_memory.lock);
	if (limit && mlos_memory.lru.resident >= limit && !optional)
		evict_down_to(limit - 1, NULL, &unused);
	ret = mlos_lru_charge(&mlos_memory.lru, &body->lru, limit);
	if (!ret)
		publish_resident();
	mutex_unlock(&mlos_memory.lock);
	return ret;
}

static void take_back_charge(struct mlos_body *body)
{
	mutex_lock(&mlos_memory.lock);
	uncharge(body, 1);
	mutex_unlock(&mlos_memory.lock);
}

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	/* An upper bound; what has to stay is found out when scanning. */
	return READ_ONCE(mlos_memory.lru.resident) ?: SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed;
	u32 tensors = 0;
	u64 target;

	if (!mutex_trylock(&mlos_memory.lock))
		return SHRINK_STOP;
	target = mlos_memory.lru.resident;
	target -= min_t(u64, target, sc->nr_to_scan);
	freed = evict_down_to(target, NULL, &tensors);
	mlos_memory.shrunk_pages += freed;
	mutex_unlock(&mlos_memory.lock);
	return freed ?: SHRINK_STOP;
}

#ifdef MLOS_STATIC_SHRINKER
static struct shrinker static_shrinker = {
	.count_objects = shrink_count,
	.scan_objects = shrink_scan,
	.seeks = DEFAULT_SEEKS,
};

static int shrinker_on(void)
{
	return register_shrinker(&static_shrinker, "mlos-tensors");
}

static void shrinker_off(void)
{
	unregister_shrinker(&static_shrinker);
}
#else
static struct shrinker *our_shrinker;

static int shrinker_on(void)
{
	our_shrinker = shrinker_alloc(0, "mlos-tensors");
	if (!our_shrinker)
		return -ENOMEM;
	our_shrinker->count_objects = shrink_count;
	our_shrinker->scan_objects = shrink_scan;
	shrinker_register(our_shrinker);
	return 0;
}

static void shrinker_off(void)
{
	shrinker_free(our_shrinker);
}
#endif

/* --- pages --------------------------------------------------------------------------------------------------------------- */

/* The file that is open is of use to its own file system only, not to the one below an overlay. */
static struct page *backing_page(const struct mlos_body *body, pgoff_t index)
{
	struct address_space *mapping = body->source->i_mapping;

	if (shmem_mapping(mapping))
		return shmem_read_mapping_page(mapping, index);
	return read_mapping_page(mapping, index, body->source == file_inode(body->backing) ? body->backing : NULL);
}

/*
 * Through the page cache rather than a read of the file: it takes no lock of the file system above mmap_lock, and what several
 * tensors read from one file is read from the disk once.
 */
static int fill(struct mlos_body *body, unsigned long index, struct page *to)
{
	u64 offset = body->backing_offset + ((u64)index << PAGE_SHIFT);
	u64 left = min_t(u64, PAGE_SIZE, body->bytes - ((u64)index << PAGE_SHIFT));
	size_t done = 0;

	if (!body->backing)
		return 0;
	while (left) {
		size_t in_page = offset_in_page(offset);
		size_t n = min_t(u64, left, PAGE_SIZE - in_page);
		struct page *from;

		/* The page cache does not mind an index beyond the end; the content would be zeros. */
		if (offset + n > i_size_read(body->source))
			return -EIO;
		from = backing_page(body, offset >> PAGE_SHIFT);
		if (IS_ERR(from))
			return PTR_ERR(from) == -ENOMEM ? -ENOMEM : -EIO;
		memcpy_page(to, done, from, in_page, n);
		put_page(from);
		done += n;
		offset += n;
		left -= n;
	}
	return 0;
}

/* Rather none than some for which the kernel kills processes. */
#define RATHER_NONE (__GFP_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static struct page *new_page(const struct mlos_body *body, s32 node, bool strict)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_ZERO | RATHER_NONE;
	struct mem_cgroup *before = set_active_memcg(body->account->memcg);
	struct page *page;

	if (strict)
		gfp |= __GFP_THISNODE;
	page = alloc_pages_node(node < 0 ? numa_mem_id() : node, gfp, 0);
	set_active_memcg(before);
	return page;
}

/* Also what it takes to keep the page at its index, so that storing it there does not fail. */
static struct page *new_page_at(struct mlos_body *body, unsigned long index)
{
	struct mem_cgroup *before = set_active_memcg(body->account->memcg);
	int ret = xa_reserve(&body->pages, index, GFP_KERNEL | RATHER_NONE);
	struct page *page;

	set_active_memcg(before);
	if (ret)
		return NULL;
	page = new_page(body, body->node, body->strict);
	if (!page)
		xa_release(&body->pages, index);
	return page;
}

static struct page *page_for(struct mlos_body *body, unsigned long index, bool optional)
{
	struct page *page = new_page_at(body, index);

	while (!page && !optional && evict_in_group(body->account->memcg))
		page = new_page_at(body, index);
	return page;
}

struct page *mlos_body_page(struct mlos_body *body, unsigned long index, bool optional)
{
	struct page *page;
	int ret;

	lockdep_assert_held(&body->lock);
	page = xa_load(&body->pages, index);
	if (page)
		return page;
	ret = charge(body, optional);
	if (ret)
		return ERR_PTR(ret);
	page = page_for(body, index, optional);
	ret = page ? fill(body, index, page) : -ENOMEM;
	if (ret) {
		if (page) {
			xa_release(&body->pages, index);
			__free_page(page);
		}
		take_back_charge(body);
		return ERR_PTR(ret);
	}
	atomic64_inc(&node_of(page)->pages);
	atomic64_inc(&node_of(page)->allocations);
	atomic64_inc(&body->account->resident_pages);
	xa_store(&body->pages, index, page, 0);
	body->resident++;
	return page;
}

int mlos_body_populate(struct mlos_body *body, bool optional)
{
	unsigned long i;

	/* The caller's mistake, for which others would run out of memory first. */
	if (body->n_pages > totalram_pages())
		return -ENOMEM;
	for (i = 0; body->resident < body->n_pages && i < body->n_pages; i++) {
		struct page *page = mlos_body_page(body, i, optional);

		if (IS_ERR(page))
			return PTR_ERR(page);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

void mlos_memory_count_touch(const struct mlos_body *body, struct page *page)
{
	if (page_to_nid(page) != numa_node_id())
		atomic64_inc(&node_of(page)->remote);
}

/* --- equal content --------------------------------------------------------------------------------------------------------- */

/* Only to find candidates: what is shared has been compared byte by byte. */
static u64 content_hash(struct mlos_body *body)
{
	u64 hash = 0x9e3779b97f4a7c15ULL ^ body->bytes;
	struct page *page;
	unsigned long i, w;

	xa_for_each(&body->pages, i, page) {
		const u64 *words = kmap_local_page(page);

		for (w = 0; w < PAGE_SIZE / sizeof(u64); w++) {
			hash = (hash ^ words[w]) * 0xff51afd7ed558ccdULL;
			hash ^= hash >> 32;
		}
		kunmap_local(words);
		cond_resched();
	}
	return hash;
}

static bool equal(struct mlos_body *a, struct mlos_body *b)
{
	struct page *page;
	unsigned long i;
	int differs = 0;

	xa_for_each(&a->pages, i, page) {
		void *pa = kmap_local_page(page);
		void *pb = kmap_local_page(xa_load(&b->pages, i));

		differs = memcmp(pa, pb, PAGE_SIZE);
		kunmap_local(pb);
		kunmap_local(pa);
		if (differs)
			break;
		cond_resched();
	}
	return !differs;
}

static bool same_source(const struct mlos_body *a, const struct mlos_body *b)
{
	return a->source == b->source && a->backing_offset == b->backing_offset;
}

/* With a reference. Puts the body where later ones find it when there is none yet. */
static struct mlos_body *candidate(struct mlos_body *body)
{
	struct mlos_body *other, *found = NULL;

	mutex_lock(&mlos_memory.lock);
	mlos_memory.hashed++;
	list_for_each_entry(other, &mlos_memory.shared, shared) {
		if (other->hash == body->hash && other->bytes == body->bytes && other->node == body->node &&
		    kref_get_unless_zero(&other->ref)) {
			found = other;
			break;
		}
	}
	if (!found)
		list_add(&body->shared, &mlos_memory.shared);
	mutex_unlock(&mlos_memory.lock);
	return found;
}

struct mlos_body *mlos_body_twin(struct mlos_body *body)
{
	struct mlos_body *other;
	bool same = false, compared = false;

	lockdep_assert_held(&body->lock);
	if (!list_empty(&body->shared) || body->sharers > 1)
		return NULL;
	body->hash = content_hash(body);
	other = candidate(body);
	if (!other)
		return NULL;
	/* Two bodies are locked nowhere else, and this never waits. */
	if (mutex_trylock(&other->lock)) {
		if (other->resident == other->n_pages) {
			compared = true;
			same = equal(body, other);
			if (same && !same_source(body, other))
				other->joined = true;
		}
		mutex_unlock(&other->lock);
	}
	mutex_lock(&mlos_memory.lock);
	if (same) {
		other->sharers++;
		mlos_memory.duplicates++;
		mlos_memory.saved_pages += body->n_pages;
	} else if (compared) {
		mlos_memory.collisions++;
	}
	mutex_unlock(&mlos_memory.lock);
	if (same)
		return other;
	mlos_body_put(other);
	return NULL;
}

void mlos_body_unshare(struct mlos_body *body)
{
	mutex_lock(&mlos_memory.lock);
	body->sharers--;
	mutex_unlock(&mlos_memory.lock);
}

/* --- nodes ------------------------------------------------------------------------------------------------------------------- */

int mlos_body_migrate(struct mlos_body *body, int node, u64 *moved_bytes)
{
	struct page *old, *page;
	unsigned long i;

	lockdep_assert_held(&body->lock);
	*moved_bytes = 0;
	xa_for_each(&body->pages, i, old) {
		if (page_to_nid(old) == node)
			continue;
		/* Somebody else refers to it: a transfer of data that began while it was mapped. */
		if (page_count(old) != 1)
			return -EBUSY;
		page = new_page(body, node, true);
		if (!page)
			return -ENOMEM;
		copy_highpage(page, old);
		atomic64_dec(&node_of(old)->pages);
		atomic64_inc(&node_of(old)->out);
		atomic64_inc(&node_of(page)->pages);
		atomic64_inc(&node_of(page)->in);
		xa_store(&body->pages, i, page, 0);
		put_page(old);
		*moved_bytes += PAGE_SIZE;
		cond_resched();
	}
	body->node = node;
	return 0;
}

static void fill_node(struct mlos_numa_node *out, int node)
{
	struct mlos_node_stats *s = &mlos_memory.nodes[node];

	memset(out, 0, sizeof(*out));
	out->node = node;
	out->tensor_count = atomic_read(&s->tensors);
	out->total_size = (u64)NODE_DATA(node)->node_present_pages << PAGE_SHIFT;
	out->used_size = (u64)atomic64_read(&s->pages) << PAGE_SHIFT;
	out->allocations = atomic64_read(&s->allocations);
	out->remote_accesses = atomic64_read(&s->remote);
	out->migrations_in = atomic64_read(&s->in);
	out->migrations_out = atomic64_read(&s->out);
}

long mlos_ioc_numa_stats(struct mlos_file *file, void *arg)
{
	struct mlos_numa_stats *a = arg;
	struct mlos_numa_node __user *to = u64_to_user_ptr(a->nodes);
	u32 n = 0;
	int node;

	if (a->flags || a->count > MLOS_MAX_NODES || a->element_size != sizeof(*to))
		return -EINVAL;
	for_each_online_node(node) {
		struct mlos_numa_node out;

		if (n < a->count) {
			fill_node(&out, node);
			if (copy_to_user(&to[n], &out, sizeof(out)))
				return -EFAULT;
		}
		n++;
	}
	a->count = n;
	return 0;
}

long mlos_ioc_memory_trim(struct mlos_file *file, void *arg)
{
	struct mlos_memory_trim *a = arg;
	u64 pages;

	if (a->flags || a->reserved)
		return -EINVAL;
	mlos_memory_evict_to(a->target_bytes >> PAGE_SHIFT, &a->evicted, &pages);
	a->freed_bytes = pages << PAGE_SHIFT;
	a->resident_bytes = READ_ONCE(mlos_memory.lru.resident) << PAGE_SHIFT;
	return 0;
}

int mlos_memory_init(void)
{
	int ret;

	mutex_init(&mlos_memory.lock);
	mlos_lru_init(&mlos_memory.lru);
	INIT_LIST_HEAD(&mlos_memory.shared);
	mlos_memory.nodes = kcalloc(nr_node_ids, sizeof(*mlos_memory.nodes), GFP_KERNEL);
	if (!mlos_memory.nodes)
		return -ENOMEM;
	ret = shrinker_on();
	if (ret)
		kfree(mlos_memory.nodes);
	return ret;
}

void mlos_memory_exit(void)
{
	shrinker_off();
	WARN_ON(mlos_memory.lru.resident || !list_empty(&mlos_memory.shared));
	kfree(mlos_memory.nodes);
}
