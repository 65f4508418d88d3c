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
mkdir -p /var/roothome /var/tmp/imgbuild
# The initramfs records its own command line. Tier 1's was made with the same
# words, so that the two are equal when nothing in them differs. Device nodes
# cannot be made in every container: the kernel's devtmpfs has them at boot.
(
    cd /var/tmp/imgbuild
    DRACUT_NO_MKNOD=1 DRACUT_NO_XATTR=1 dracut --force --kver "$kver" initramfs.img
) || die "dracut failed"
new=/var/tmp/imgbuild/initramfs.img
[ -s "$new" ] || die "dracut says it made an initramfs and left nothing"
# When nothing in it changed, the base's own file stays and the layer small.
if ! cmp -s "$new" "$modules/initramfs.img"; then
    chmod 0600 "$new"
    mv "$new" "$modules/initramfs.img"
fi
rm -rf /var/tmp/imgbuild
rm -rf /run/imgbuild-apt
