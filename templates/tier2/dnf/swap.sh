#!/bin/sh
# Replaces the base's kernel by the packages of one repository, offline.
#
#   swap.sh REPOSITORY OLD NEW
#
# The folder /run/imgbuild/REPOSITORY holds the package files: every package of
# the base's kernel, and whatever has its version, in another version. OLD and
# NEW are the releases of the kernels.
set -eu

old=$2
new=$3
modules=/usr/lib/modules

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

set -- "/run/imgbuild/$1"/*.rpm
[ -e "$1" ] || die "there are no packages of kernel $new"
# rpm itself, because dnf would put the new kernel beside the old one: to rpm
# an upgrade, to whichever version, replaces what has the same name, and all of
# it is one transaction. Signatures were checked when the files were fetched.
# KERNEL_INSTALL_BYPASS keeps kernel-install still while it lasts.
KERNEL_INSTALL_BYPASS=1 rpm --upgrade --oldpackage --nosignature -- "$@"

# What is left of the old one belongs to no package: its index and initramfs.
rm -rf "${modules:?}/$old"
rm -f /boot/*-"$old" /boot/*-"$old".img /boot/*-"$new" /boot/.*-"$new".hmac
[ -e "$modules/$new/vmlinuz" ] || die "the packages of kernel $new have no vmlinuz"
