# SPDX-License-Identifier: Apache-2.0
# ./dev kernel-test [all | --kernel 6.1|6.12|7.x|debug|all] [--test NAME]: the kernel module in virtual machines.
step apt "system packages" || exit 1
step kernel_lab "emulator and kernel of the module's tests" || exit 1
build_preset release resources_test mlos-core mlos-worker mlos_plugin_echo
kernel/lab/run "$@"
