#!/bin/sh
# Gives a stage the /var that packages expect. First step of a stage.
#
# Image-mode distributions ship next to nothing in /var and declare the rest
# for systemd-tmpfiles, which runs on a host only.
set -eu

command -v systemd-tmpfiles >/dev/null || exit 0
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
