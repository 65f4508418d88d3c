#!/bin/sh
# Gives a stage the /var that Debian's packages expect. First step of a stage.
#
# Images carry an empty /var: the state that belongs to the packages lies in
# /usr/lib/sysimage/var, and systemd-tmpfiles makes the rest, as on a host.
set -eu

cp -a /usr/lib/sysimage/var/. /var/

# 65: lines were passed over, because their %-specifiers need a machine id,
#     which an image has not.
# 73: something could not be made, such as an access control list in a
#     container. A folder that matters will be missed by the package's script.
code=0
systemd-tmpfiles --create --prefix=/var --prefix=/run --prefix=/tmp >/dev/null 2>&1 || code=$?
case $code in
    0 | 65 | 73) ;;
    *)
        echo "E: imgbuild: systemd-tmpfiles ended with exit code $code" >&2
        exit "$code"
        ;;
esac

mkdir -p /run/imgbuild-apt/lists/partial /run/imgbuild-apt/cache/archives/partial /run/lock
mkdir -p /var/lib/apt /var/log/apt
