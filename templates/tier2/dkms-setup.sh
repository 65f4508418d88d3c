#!/bin/sh
# Tells dkms to keep still. Runs before dkms is installed.
set -eu

mkdir -p /etc/dkms/framework.conf.d
# Packages of modules would else build for every kernel that has headers.
: > /etc/dkms/no-autoinstall
# dkms would else sign with a key it makes up. Signing is a step of its own.
# Up to 3.3 it asks whether the program is there, later ones have a setting.
cat > /etc/dkms/framework.conf.d/imgbuild.conf <<'CONF'
sign_file="/nonexistent"
try_sign_modules="no"
CONF
