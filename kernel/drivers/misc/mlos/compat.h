/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels this module is built for (6.1 and later). */
#ifndef MLOS_COMPAT_H
#define MLOS_COMPAT_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "mlos_ml needs Linux 6.1 or later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
/* Debian's 6.1 has both helpers as a backport in some point releases; the fields are writable in all of 6.1 and 6.2. */
static inline void mlos_vm_flags_mod(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#else
static inline void mlos_vm_flags_mod(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
	vm_flags_mod(vma, set, clear);
}
#endif

/* What ->setattr() is told of the mount. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define mlos_mount_map user_namespace
#else
#define mlos_mount_map mnt_idmap
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define MLOS_STATIC_SHRINKER 1
#endif

#endif /* MLOS_COMPAT_H */
