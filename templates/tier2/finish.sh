#!/bin/sh
# Last step of the image: module index and initramfs for its one kernel.
#
#   finish.sh KVER
set -eu

kver=$1
modules=/usr/lib/modules/$kver

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

for folder in /usr/lib/modules/*; do
    [ "$folder" = "$modules" ] || die "modules of another kernel than $kver: ${folder##*/}"
done
[ -e "$modules/vmlinuz" ] || die "kernel $kver has no vmlinuz in /usr/lib/modules"
# A package may have made an initramfs for a host's /boot; ours comes below.
rm -f /boot/initrd.img-* /boot/initramfs-*
left=$(find /boot -mindepth 1 ! -type d -print -quit)
[ -z "$left" ] || die "a package put a file into /boot: $left"

# The log names the dependencies depmod could not resolve; imgbuild checks them itself.
depmod -a "$kver"

# dracut resolves /root, which is a link into /var.
mkdir -p /var/roothome /var/tmp
new=/var/tmp/imgbuild-initramfs.img
# Device nodes cannot be made in every container: the kernel's devtmpfs has
# them at boot, and an initramfs without them is the same everywhere.
# For any machine and the same from every run, whatever the base's own
# configuration of dracut leaves open.
DRACUT_NO_MKNOD=1 DRACUT_NO_XATTR=1 dracut --force --no-hostonly --reproducible --kver "$kver" "$new" || die "dracut failed"
[ -s "$new" ] || die "dracut says it made an initramfs and left nothing"
if cmp -s "$new" "$modules/initramfs.img"; then
    # Nothing in it changed: the base's own file stays, and the layer small.
    rm "$new"
else
    chmod 0600 "$new"
    mv "$new" "$modules/initramfs.img"
fi
rm -rf /run/imgbuild-apt
