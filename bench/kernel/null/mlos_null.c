// SPDX-License-Identifier: GPL-2.0
/* The least that a character device can do: what an ioctl of /dev/mlos-ml is measured against. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

/* Command 0 returns; command 1 copies 64 bytes in and out. */
static long null_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	char bytes[64];

	if (command == 0)
		return 0;
	if (command != 1)
		return -ENOTTY;
	if (copy_from_user(bytes, (void __user *)argument, sizeof(bytes)) ||
	    copy_to_user((void __user *)argument, bytes, sizeof(bytes)))
		return -EFAULT;
	return 0;
}

static const struct file_operations null_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = null_ioctl,
};

static struct miscdevice null_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mlos-null",
	.fops = &null_operations,
};

module_misc_device(null_device);
MODULE_DESCRIPTION("A character device that does nothing, for comparison");
MODULE_LICENSE("GPL");
