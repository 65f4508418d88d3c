#!/bin/sh
# Prints the files of an installed package, one per line; links count, folders do not.
#
#   owned.sh PACKAGE
set -eu

# The list first, whole: a package that is not installed must stop the build, which a pipe would hide.
list=$(rpm --query --list -- "$1") || {
    echo "E: imgbuild: the package $1 is not installed in the builder" >&2
    exit 1
}
printf '%s\n' "$list" | while IFS= read -r path; do
    # Files left out at installing are listed too, and a package without files says so in words.
    case $path in
        /*) ;;
        *) continue ;;
    esac
    if [ -L "$path" ] || [ -f "$path" ]; then
        printf '%s\n' "$path"
    fi
done
