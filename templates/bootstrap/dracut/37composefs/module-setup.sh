#!/bin/bash
# dracut module: mounts the composefs image named on the kernel command line as the root.
#
# dracut sources this file and calls the functions below; $moddir is this
# folder, $initdir the initramfs being made. See dracut.modules(7).

check() {
    require_binaries /usr/lib/composefs/composefs-setup-root || return 1
    # Never on its own: an image asks for it.
    return 255
}

depends() {
    echo systemd-initrd
}

installkernel() {
    # In a host-only initramfs dracut leaves out what the building machine does not use.
    hostonly='' instmods erofs overlay
}

install() {
    inst_simple /usr/lib/composefs/composefs-setup-root
    inst_simple /usr/lib/composefs/setup-root-conf.toml
    inst_simple "$moddir/composefs-setup-root.service" "$systemdsystemunitdir/composefs-setup-root.service"
    # "Requires" of the target, not "Wants": without the root mounted the boot must stop.
    $SYSTEMCTL -q --root "$initdir" add-requires initrd-root-fs.target composefs-setup-root.service
}
