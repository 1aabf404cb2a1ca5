// SPDX-License-Identifier: GPL-2.0
/* Descriptors of tensors: the file system they are of, their mappings and page faults. */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/seq_file.h>

#include "mlos.h"

/*
 * Every tensor has an inode of its own, so that its mappings can be found and fstat() tells its size. The mount lives while a
 * device file or a tensor's file is open, and holds the module so long: a file lets go of its mount after it let go of the module.
 */
static struct vfsmount *tensor_mount;
static int tensor_mount_users;

static int tensor_fs_context(struct fs_context *fc)
{
	if (!init_pseudo(fc, MLOS_TENSOR_FS_MAGIC))
		return -ENOMEM;
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	return 0;
}

static struct file_system_type tensor_fs = {
	.name = "mlos_tensor",
	.owner = THIS_MODULE,
	.init_fs_context = tensor_fs_context,
	.kill_sb = kill_anon_super,
};

int mlos_tensor_fs_hold(void)
{
	return simple_pin_fs(&tensor_fs, &tensor_mount, &tensor_mount_users);
}

void mlos_tensor_fs_drop(void)
{
	simple_release_fs(&tensor_mount, &tensor_mount_users);
}

/* Size, mode and owner of a tensor are what they were made with. */
static int tensor_setattr(struct mlos_mount_map *map, struct dentry *dentry, struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations tensor_iops = {
	.setattr = tensor_setattr,
};
/* --- mappings -------------------------------------------------------------------------------------------------------- */

static vm_fault_t tensor_fault(struct vm_fault *vmf)
{
	struct mlos_tensor *tensor = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct mlos_body *body;
	struct page *page;

	mutex_lock(&tensor->lock);
	body = tensor->body;
	mutex_lock(&body->lock);
	if (vmf->pgoff < body->n_pages) {
		page = mlos_body_page(body, vmf->pgoff, false);
		if (!IS_ERR(page)) {
			get_page(page);
			vmf->page = page;
			mlos_memory_count_touch(body, page);
			ret = 0;
		}
	}
	mutex_unlock(&body->lock);
	if (!ret)
		mlos_prefetch_touched(tensor);
	mutex_unlock(&tensor->lock);
	return ret;
}

static void tensor_vm_open(struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = vma->vm_private_data;

	mutex_lock(&tensor->lock);
	tensor->maps++;
	atomic_inc(&tensor->body->maps);
	mutex_unlock(&tensor->lock);
}

static void tensor_vm_close(struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = vma->vm_private_data;

	mutex_lock(&tensor->lock);
	tensor->maps--;
	atomic_dec(&tensor->body->maps);
	mlos_body_used(tensor->body);
	mutex_unlock(&tensor->lock);
}

static const struct vm_operations_struct tensor_vm_ops = {
	.open = tensor_vm_open,
	.close = tensor_vm_close,
	.fault = tensor_fault,
};

static int tensor_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = filp->private_data;
	unsigned long pages = vma_pages(vma);

	if (vma->vm_pgoff + pages < pages || vma->vm_pgoff + pages > DIV_ROUND_UP(tensor->bytes, PAGE_SIZE))
		return -EINVAL;
	if ((tensor->flags & MLOS_TENSOR_READONLY) && (vma->vm_flags & VM_SHARED)) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		mlos_vm_flags_mod(vma, 0, VM_MAYWRITE);
	}
	mlos_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, 0);
	vma->vm_ops = &tensor_vm_ops;
	vma->vm_private_data = tensor;
	mutex_lock(&tensor->lock);
	/* Could become writable by mprotect(): what may be written is as good as written. */
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE)) {
		mutex_lock(&tensor->body->lock);
		tensor->body->dirty = true;
		mutex_unlock(&tensor->body->lock);
	}
	tensor->maps++;
	atomic_inc(&tensor->body->maps);
	mutex_unlock(&tensor->lock);
	return 0;
}

static void file_gone(struct mlos_tensor *tensor)
{
	mutex_lock(&tensor->lock);
	tensor->files--;
	mutex_unlock(&tensor->lock);
}

static int tensor_file_release(struct inode *inode, struct file *filp)
{
	struct mlos_tensor *tensor = filp->private_data;

	file_gone(tensor);
	mlos_tensor_put(tensor);
	return 0;
}

static void tensor_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct mlos_tensor *tensor = filp->private_data;

	mutex_lock(&tensor->lock);
	seq_printf(m, "mlos-tensor:\t%llu\nmlos-bytes:\t%llu\nmlos-resident-kb:\t%lu\nmlos-node:\t%d\nmlos-owner:\t%d\n",
		   tensor->id, tensor->bytes, READ_ONCE(tensor->body->resident) << (PAGE_SHIFT - 10),
		   tensor->body->node, mlos_account_process(tensor->body->account));
	mutex_unlock(&tensor->lock);
}

static const struct file_operations tensor_fops = {
	.owner = THIS_MODULE,
	.mmap = tensor_mmap,
	.release = tensor_file_release,
	.show_fdinfo = tensor_show_fdinfo,
	.llseek = noop_llseek,
};

/* For one file more, with a reference. All files of a tensor have one inode, so that all its mappings are found. */
static struct inode *inode_for_file(struct mlos_tensor *tensor)
{
	struct inode *inode;

	mutex_lock(&tensor->lock);
	if (tensor->files) {
		inode = tensor->mapping->host;
		ihold(inode);
	} else {
		inode = alloc_anon_inode(tensor_mount->mnt_sb);
		if (IS_ERR(inode))
			goto unlock;
		inode->i_size = tensor->bytes;
		inode->i_mode = S_IFREG | 0600;
		inode->i_op = &tensor_iops;
		tensor->mapping = inode->i_mapping;
	}
	tensor->files++;
unlock:
	mutex_unlock(&tensor->lock);
	return inode;
}

struct file *mlos_tensor_file_new(struct mlos_tensor *tensor, bool readonly)
{
	struct inode *inode = inode_for_file(tensor);
	struct file *filp;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	filp = alloc_file_pseudo(inode, tensor_mount, "tensor", readonly ? O_RDONLY : O_RDWR, &tensor_fops);
	if (IS_ERR(filp)) {
		file_gone(tensor);
		iput(inode);
		return filp;
	}
	/* Given back by fput(), which thinks that an open took it. */
	__module_get(THIS_MODULE);
	kref_get(&tensor->ref);
	filp->private_data = tensor;
	return filp;
}

bool mlos_tensor_file_is(const struct file *filp)
{
	return filp->f_op == &tensor_fops;
}
