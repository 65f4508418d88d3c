#!/bin/sh
# Installs exactly the packages of one repository, offline.
#
#   install.sh REPOSITORY
#
# The folder /run/imgbuild/REPOSITORY holds the package files, their index,
# apt's configuration and the list `packages`, one name=version per line.
set -eu

repo=/run/imgbuild/$1
APT_CONFIG=$repo/apt.conf
export APT_CONFIG

apt-get --quiet update
# The list is complete: anything that apt would remove for it is a mistake in it.
xargs --no-run-if-empty --arg-file="$repo/packages" \
    apt-get --quiet --yes --no-install-recommends --no-remove install --
