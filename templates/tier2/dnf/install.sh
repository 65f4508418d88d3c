#!/bin/sh
# Installs exactly the packages of one repository, offline.
#
#   install.sh REPOSITORY
#
# The folder /run/imgbuild/REPOSITORY holds the package files. Their signatures
# were checked when they were fetched, and their digests are in the lock.
set -eu

state=/tmp/imgbuild-dnf

set -- "/run/imgbuild/$1"/*.rpm
[ -e "$1" ] || exit 0
# Settings rather than options, because dnf 5 has the same ones. rpm writes
# SOURCE_DATE_EPOCH as the time of installation, so that two builds get the
# same package database; what dnf itself remembers is kept out of the image.
dnf install --assumeyes --quiet --disablerepo='*' \
    --setopt=plugins=False --setopt=gpgcheck=False --setopt=localpkg_gpgcheck=False \
    --setopt=install_weak_deps=False --setopt=keepcache=False \
    --setopt=cachedir=$state --setopt=logdir=$state --setopt=persistdir=$state \
    -- "$@"
rm -rf $state
