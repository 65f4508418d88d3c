#!/bin/sh
# Turns a freshly bootstrapped Debian root into one that follows the bootc image
# conventions, as far as that has to be done with the root's own programs.
#
#   finish.sh ROOT FILES
#
# ROOT   the root file system; /dev and /proc are mounted in it
# FILES  a folder with `tree/`, laid over ROOT: the composefs program, its
#        dracut module and configuration, kernel arguments
#
# mmdebstrap runs this as its customize hook, after the last package. What can
# be done on the finished file tree without running a program (package
# database, /var, identity of the machine) imgbuild does itself, later.
set -eu

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

umask 022
[ $# -eq 2 ] || die "usage: finish.sh ROOT FILES"
root=$1
files=$2
[ -d "$root/usr" ] || die "$root is not a root file system"
[ -d "$files/tree" ] || die "$files/tree is missing"

# The release of the one kernel; its files move from /boot to where bootc looks for them.
move_kernel() {
    set -- "$root"/boot/vmlinuz-*
    [ -e "$1" ] || die "no kernel in /boot: is a linux-image package among the packages?"
    [ $# -eq 1 ] || die "more than one kernel in /boot: $(cd "$root/boot" && echo vmlinuz-*)"
    kver=${1##*/vmlinuz-}

    modules=$root/usr/lib/modules
    [ -d "$modules/$kver" ] || die "kernel $kver has no modules in /usr/lib/modules"
    for folder in "$modules"/*; do
        [ "$folder" = "$modules/$kver" ] || die "modules of another kernel than $kver: ${folder##*/}"
    done
    mv "$1" "$modules/$kver/vmlinuz"
    for name in config System.map; do
        [ ! -e "$root/boot/$name-$kver" ] || mv "$root/boot/$name-$kver" "$modules/$kver/$name"
    done
    rm -f "$root"/vmlinuz "$root"/vmlinuz.old "$root"/initrd.img "$root"/initrd.img.old
    rm -f "$root"/boot/initrd.img-*
    # Anything else in /boot would be hidden on the running host, so it is an error here.
    left=$(find "$root/boot" -mindepth 1 ! -type d -print -quit)
    [ -z "$left" ] || die "a package put a file into /boot: ${left#"$root"}"
    find "$root/boot" -mindepth 1 -depth -type d -exec rmdir {} +
}

# Files only, with their modes: folders that are there keep theirs, whatever
# they are in tree/, and new ones are readable for all.
install_files() {
    (cd "$files/tree" && find . ! -type d) | while IFS= read -r file; do
        mkdir -p "$root/${file%/*}"
        cp --preserve=mode --no-dereference "$files/tree/$file" "$root/$file"
    done
}

# link PATH TARGET: PATH becomes a link into /var, where state lives. Packages
# may have left folders there, but no files: those would never be seen again.
link() {
    path=$root/$1
    if [ ! -L "$path" ]; then
        left=$(find "$path" ! -type d ! -type l -print -quit 2>/dev/null || true)
        [ -z "$left" ] || die "a package put a file into /$1, which hosts keep in /var: ${left#"$root"}"
        rm -rf "$path"
    fi
    ln -sfn "$2" "$path"
}

# Top-level folders that belong to the machine. This has to come before the
# initramfs, which records some of these links.
make_links() {
    # root's shell start-up files are the package's; a copy for new machines stays.
    mkdir -p "$root/usr/share/imgbuild"
    cp -R "$root/root" "$root/usr/share/imgbuild/roothome"
    rm -rf "$root/usr/share/imgbuild/roothome/.ssh"
    chmod 0755 "$root/usr/share/imgbuild/roothome"
    rm -rf "$root/root"
    for name in root:roothome home:home srv:srv opt:opt mnt:mnt; do
        link "${name%%:*}" "var/${name##*:}"
    done
    link usr/local ../var/usrlocal
    mkdir -p "$root/sysroot"
    link ostree sysroot/ostree
    # dracut resolves /root.
    mkdir -p -m 700 "$root/var/roothome"
}

# Needs no network, no /sys and no device but what /dev has.
make_initramfs() {
    image=/usr/lib/modules/$kver/initramfs.img
    # Device nodes cannot be made in every container: the kernel's devtmpfs has
    # them at boot, and an initramfs without them is the same everywhere.
    DRACUT_NO_MKNOD=1 DRACUT_NO_XATTR=1 chroot "$root" dracut --force --kver "$kver" "$image" ||
        die "dracut failed"
    chmod 0600 "$root$image"

    # dracut returns 0 also when a module of it gave up. lsinitrd looks for an
    # EFI partition first and says that there is none.
    list=$(chroot "$root" lsinitrd "$image" 2>/dev/null) || die "the initramfs cannot be listed"
    for wanted in \
        'usr/lib/composefs/composefs-setup-root$' \
        'usr/lib/composefs/setup-root-conf\.toml$' \
        'initrd-root-fs\.target\.requires/composefs-setup-root\.service' \
        "modules/$kver/.*/erofs\\.ko" \
        "modules/$kver/.*/overlay\\.ko"; do
        printf '%s\n' "$list" | grep -q -e "$wanted" || die "the initramfs lacks $wanted"
    done
}

remove_leftovers() {
    rm -f "$root/etc/kernel-img.conf" "$root/etc/apt/sources.list"
    rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
    rm -f "$root/var/log/dracut.log"
    rm -rf "$root/var/tmp" && mkdir -m 1777 "$root/var/tmp"
}

move_kernel
install_files
make_links
make_initramfs
remove_leftovers
