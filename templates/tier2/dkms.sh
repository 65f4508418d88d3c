#!/bin/sh
# Compiles a DKMS module for one kernel, never for the running one.
#
#   dkms.sh NAME KVER
#
# NAME is the module's own, PACKAGE_NAME in its dkms.conf. Leaves what it found
# out in /imgbuild/facts, as KEY=VALUE lines.
set -eu

name=$1
kver=$2

die() {
    echo "E: imgbuild: $*" >&2
    exit 1
}

# first_error LOG FOLDER: the line that began the trouble, without the folder. The compiler has it on one line,
# configure may put the words on the lines below.
first_error() {
    said=$(awk '
        /configure: error:[[:space:]]*$/ { below = 1; next }
        below && NF { sub(/^[[:space:]*]+/, ""); print "configure: " $0; exit }
        /(^|[[:space:]:])(fatal )?error:/ || /\*\*\* .*[Ee]rror/ { print; exit }
    ' "$1" 2>/dev/null | sed "s|$2||g")
    echo "${said:-dkms ended with exit code $code}"
}

set -- /usr/src/"$name"-*/dkms.conf
[ -e "$1" ] || die "no package installed the source of the module $name: /usr/src/$name-*/dkms.conf is not there"
[ $# -eq 1 ] || die "the source of the module $name is there more than once: $*"
version=${1%/dkms.conf}
version=${version#/usr/src/"$name"-}
[ -d "/usr/lib/modules/$kver/build/" ] || die "no package installed the headers of kernel $kver"

# Whatever asks for the time, the user or the machine gets the same answer in every build.
KBUILD_BUILD_TIMESTAMP=@${SOURCE_DATE_EPOCH:?}
KBUILD_BUILD_USER=imgbuild
KBUILD_BUILD_HOST=imgbuild
export KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_USER KBUILD_BUILD_HOST

code=0
dkms build -m "$name/$version" -k "$kver" || code=$?
# 77: the source excludes this kernel, architecture or configuration.
[ "$code" -ne 77 ] || die "$name/$version is not made for kernel $kver: see BUILD_EXCLUSIVE in its dkms.conf"
if [ "$code" -ne 0 ]; then
    log=/var/lib/dkms/$name/$version/build/make.log
    [ ! -e "$log" ] || tail -n 200 "$log" >&2
    die "$name/$version does not compile for kernel $kver: $(first_error "$log" "${log%make.log}")"
fi

# The folder below is named after the architecture, which dkms spells its own way.
set -- "/var/lib/dkms/$name/$version/$kver"/*/module
[ -d "$1" ] || die "dkms says it built $name/$version and left nothing"
mkdir -p /imgbuild
cat > /imgbuild/facts <<FACTS
dkms-name=$name
dkms-version=$version
dkms-folder=$1
FACTS
