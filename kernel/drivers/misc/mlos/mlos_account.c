// SPDX-License-Identifier: GPL-2.0
/* Clients: which process opened a file, and to which control group its pages are charged. */
#include <linux/memcontrol.h>
#include <linux/pid.h>

#include "mlos.h"

struct mlos_account *mlos_account_new(void)
{
	struct mlos_account *account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);

	if (!account)
		return NULL;
	kref_init(&account->ref);
	account->client_id = mlos_new_id();
	account->process = get_task_pid(current, PIDTYPE_TGID);
	account->memcg = get_mem_cgroup_from_mm(current->mm);
	get_task_comm(account->name, current->group_leader);
	return account;
}

static void account_free(struct kref *ref)
{
	struct mlos_account *account = container_of(ref, struct mlos_account, ref);

	mem_cgroup_put(account->memcg);
	put_pid(account->process);
	kfree(account);
}

void mlos_account_put(struct mlos_account *account)
{
	kref_put(&account->ref, account_free);
}

s32 mlos_account_process(const struct mlos_account *account)
{
	return pid_vnr(account->process);
}
