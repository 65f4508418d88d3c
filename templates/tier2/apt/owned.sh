#!/bin/sh
# Prints the files of an installed package, one per line; links count, folders do not.
#
#   owned.sh PACKAGE
set -eu

dpkg-query --listfiles -- "$1" | while IFS= read -r path; do
    # Paths left out at unpacking are listed too, and so are diversions, in words.
    case $path in
        /*) ;;
        *) continue ;;
    esac
    if [ -L "$path" ] || [ -f "$path" ]; then
        printf '%s\n' "$path"
    fi
done
