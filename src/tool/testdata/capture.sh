#!/bin/sh
# Makes the samples of apt's output in this folder. Run on a Debian machine with
# package lists; APT_CONFIG names a private root for the next Debian release, as
# `apt::private_config` writes it. Host names are replaced.
set -eu
cd "$(dirname "$0")"
hide() { sed -E 's#(https?://)[^/|]+#\1deb.example.invalid#g'; }
wanted='libc6_|libcap2_|bash_|zlib1g_|libc-bin|gcc-14-base|systemd_|debian-archive'

apt-get install --print-uris -qq --yes --no-install-recommends --option Acquire::ForceHash=SHA256 -- \
    '?or(?essential,?priority(required))' apt | grep -E "$wanted" | hide > apt-print-uris.txt

unset APT_CONFIG
format='$(LABEL)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)'
apt-get indextargets --format "$format" 'Created-By: Packages' | hide > apt-indextargets.txt
apt-get indextargets --no-release-info --option Dir::State::lists=/nonexistent --format "$format" \
    'Created-By: Packages' | hide > apt-indextargets-no-lists.txt
