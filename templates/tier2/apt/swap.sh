#!/bin/sh
# Replaces the base's kernel by the packages of one repository, offline.
#
#   swap.sh REPOSITORY OLD NEW
#
# REPOSITORY is as for install.sh, with one more list, `remove`: the names of
# the packages that go. OLD and NEW are the releases of the kernels.
set -eu

repo=/run/imgbuild/$1
old=$2
new=$3
modules=/usr/lib/modules
hooks=/run/imgbuild-hooks
APT_CONFIG=$repo/apt.conf
export APT_CONFIG

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

# Programs that packages run when a kernel comes or goes make initramfs files and
# boot entries, for a machine that boots itself. Out of the way while it does,
# and back afterwards: they belong to the base.
set_aside() {
    for folder in /etc/kernel/*.d /usr/share/kernel/*.d; do
        [ -d "$folder" ] || continue
        mkdir -p "$hooks${folder%/*}"
        mv "$folder" "$hooks$folder"
    done
}

put_back() {
    [ -d "$hooks" ] || return 0
    (cd "$hooks" && find . -type d -path './*kernel/*.d' -prune) | while IFS= read -r folder; do
        # Packages may have made the folder anew to put something into it.
        mkdir -p "${folder#.}"
        cp -a "$hooks/$folder/." "${folder#.}/"
    done
    rm -rf "$hooks"
}

# Its own package would ask whether the kernel that goes is the running one.
# None runs here, but the builder's may have the same name.
forget_question() {
    while IFS= read -r package; do
        case $package in
            *-"$old" | *-"$old"-unsigned) rm -f "/var/lib/dpkg/info/$package.prerm" ;;
        esac
    done < "$repo/remove"
}

# replace [OPTION...]: one transaction; a name with a minus behind it goes, with
# everything dpkg remembers about it.
replace() {
    { cat "$repo/packages" && sed 's/$/-/' "$repo/remove"; } |
        xargs apt-get --quiet --yes --purge --no-install-recommends --allow-change-held-packages "$@" install --
}

apt-get --quiet update
sort "$repo/remove" > /run/imgbuild-remove
replace --simulate | sed -n 's/^\(Remv\|Purg\) \([^ ]*\).*/\2/p' | sort > /run/imgbuild-would-remove
cmp -s /run/imgbuild-remove /run/imgbuild-would-remove ||
    die "with the kernel $old would go: $(tr '\n' ' ' < /run/imgbuild-would-remove)"
rm /run/imgbuild-remove /run/imgbuild-would-remove

set_aside
forget_question
replace
put_back

# What is left of the old one belongs to no package: its image, index and initramfs.
rm -rf "${modules:?}/$old"
for name in vmlinuz config System.map; do
    [ ! -e "/boot/$name-$new" ] || mv "/boot/$name-$new" "$modules/$new/$name"
done
[ -e "$modules/$new/vmlinuz" ] || die "the packages of kernel $new have no vmlinuz"
rm -f /vmlinuz /vmlinuz.old /initrd.img /initrd.img.old
