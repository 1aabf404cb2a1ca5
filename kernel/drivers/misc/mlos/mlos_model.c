// SPDX-License-Identifier: GPL-2.0
/* Models: a name that latencies, plans and inferences hang on. */
#include "mlos.h"

static struct mlos_model *from_node(struct mlos_idnode *node)
{
	return container_of(node, struct mlos_model, node);
}

static void model_free(struct kref *ref)
{
	kvfree(container_of(ref, struct mlos_model, ref));
}

void mlos_model_put(struct mlos_model *model)
{
	kref_put(&model->ref, model_free);
}

struct mlos_model *mlos_model_get(struct mlos_file *file, u64 id)
{
	struct mlos_idnode *node;

	mutex_lock(&file->lock);
	node = mlos_idtable_find(&file->models, id);
	if (node)
		kref_get(&from_node(node)->ref);
	mutex_unlock(&file->lock);
	return node ? from_node(node) : NULL;
}

long mlos_ioc_model_register(struct mlos_file *file, void *arg)
{
	struct mlos_model_register *a = arg;
	struct mlos_model *model;
	u64 id;
	int ret;

	if (a->flags || !a->name[0] || strnlen(a->name, MLOS_NAME_MAX) == MLOS_NAME_MAX)
		return -EINVAL;
	model = kvzalloc(sizeof(*model), GFP_KERNEL_ACCOUNT);
	if (!model)
		return -ENOMEM;
	kref_init(&model->ref);
	strscpy(model->name, a->name, sizeof(model->name));
	id = mlos_new_id();
	mutex_lock(&file->lock);
	ret = mlos_idtable_add(&file->models, &model->node, id);
	mutex_unlock(&file->lock);
	if (ret) {
		mlos_model_put(model);
		return ret;
	}
	a->model_id = id;
	return 0;
}

long mlos_ioc_model_unregister(struct mlos_file *file, void *arg)
{
	struct mlos_model_unregister *a = arg;
	struct mlos_idnode *node;
	struct mlos_model *model;
	bool busy;

	if (a->flags)
		return -EINVAL;
	mutex_lock(&file->lock);
	node = mlos_idtable_find(&file->models, a->model_id);
	if (!node) {
		mutex_unlock(&file->lock);
		return -ENOENT;
	}
	model = from_node(node);
	mutex_lock(&mlos_sched.lock);
	busy = model->active > 0;
	mutex_unlock(&mlos_sched.lock);
	if (!busy) {
		mlos_prefetch_drop(model);
		mlos_idtable_remove(&file->models, node);
	}
	mutex_unlock(&file->lock);
	if (busy)
		return -EBUSY;
	mlos_model_put(model);
	return 0;
}

void mlos_models_release(struct mlos_file *file)
{
	struct mlos_idnode *node;

	while ((node = mlos_idtable_any(&file->models))) {
		mlos_prefetch_drop(from_node(node));
		mlos_idtable_remove(&file->models, node);
		mlos_model_put(from_node(node));
	}
}
