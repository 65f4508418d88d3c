#!/bin/sh
# Strips, signs and compresses compiled kernel modules, in this order: a
# signature covers the bytes before compression and does not survive stripping.
#
#   modules.sh KVER [CERTIFICATE]
#
# With a CERTIFICATE the private key is expected as the secret `module-key`,
# which is mounted for this step alone. Without one modules stay unsigned.
set -eu

kver=$1
certificate=${2:-}
key=/run/secrets/module-key
build=/usr/lib/modules/$kver/build

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

# setting NAME: its value in the kernel's configuration, without quotes.
setting() {
    sed -n "s/^CONFIG_$1=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}\$/\\1/p" "$build/.config"
}

folder=$(sed -n 's/^dkms-folder=//p' /imgbuild/facts)
[ -d "$folder" ] || die "no compiled modules"
if [ -n "$certificate" ]; then
    [ -r "$key" ] || die "the key that signs modules was not handed in"
    hash=$(setting MODULE_SIG_HASH)
    [ -n "$hash" ] || die "kernel $kver does not say which digest it signs modules with: it has no MODULE_SIG_HASH"
    sign=$build/scripts/sign-file
    [ -x "$sign" ] || die "the headers of kernel $kver have no scripts/sign-file"
fi

# As the kernel's own build does it, so that its decompressor can read it; not
# at all where the kernel's own modules are not compressed either.
compress() {
    if [ "$(setting MODULE_COMPRESS_XZ)" = y ]; then
        xz --check=crc32 --lzma2=dict=1MiB --threads=1 --force "$1"
    elif [ "$(setting MODULE_COMPRESS_ZSTD)" = y ]; then
        zstd --quiet --rm --force -T1 "$1"
    elif [ "$(setting MODULE_COMPRESS_GZIP)" = y ]; then
        gzip --no-name --force "$1"
    fi
}

find "$folder" -name '*.ko*' -type f | LC_ALL=C sort | while IFS= read -r module; do
    case $module in
        *.ko) ;;
        *.ko.xz) xz --decompress --force "$module" ;;
        *.ko.zst) zstd --quiet --decompress --rm --force "$module" ;;
        *.ko.gz) gzip --decompress --force "$module" ;;
        *) die "the module ${module##*/} is compressed in a way nobody here knows" ;;
    esac
    module=${module%.ko*}.ko
    # Also drops a signature by somebody else's key, which stands behind the ELF file.
    strip --strip-debug "$module"
    if [ -n "$certificate" ]; then
        "$sign" "$hash" "$key" "$certificate" "$module" || die "${module##*/} could not be signed"
    fi
    chmod 0644 "$module"
    compress "$module"
done
echo "signed=$([ -n "$certificate" ] && echo yes || echo no)" >> /imgbuild/facts
# The kernel's exports: what imgbuild proves the modules against in the end.
[ ! -e "$build/Module.symvers" ] || cp "$build/Module.symvers" /imgbuild/symvers
