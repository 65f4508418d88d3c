#!/bin/sh
# Copies what the module set may need into /imgbuild/out; which of it goes into
# the image, and where, imgbuild decides with the result at hand.
#
#   collect.sh SET
#
# /run/imgbuild/kmods/SET/wanted has one line per thing asked for, fields
# divided by tabs:
#
#   files START PATTERN   everything below START whose path matches, as find -path does
#   package NAME          the files of a package, as owned.sh lists them
#
# Out come: root/ with the files under their own paths, packages/NAME with a
# list per package, the facts about the build, and the kernel's list of symbols.
set -eu

wanted=/run/imgbuild/kmods/$1/wanted
owned=/run/imgbuild/scripts/owned.sh
out=/imgbuild/out
tab=$(printf '\t')

mkdir -p "$out/root" "$out/packages"
cp /imgbuild/facts "$out/facts"
[ ! -e /imgbuild/symvers ] || cp /imgbuild/symvers "$out/symvers"

take() {
    # --parents keeps the path, --no-clobber lets one file be asked for twice.
    xargs --null --no-run-if-empty cp --archive --parents --no-clobber --target-directory="$out/root" --
}

while IFS=$tab read -r kind first second; do
    case $kind in
        files)
            # Nothing there is no error here: how many there must be is in the manifest.
            [ ! -d "$first" ] || find "$first" ! -type d -path "$second" -print0 | take
            ;;
        package)
            sh "$owned" "$first" > "$out/packages/$first"
            tr '\n' '\0' < "$out/packages/$first" | take
            ;;
        '' | '#'*) ;;
        *)
            echo "E: imgbuild: $wanted asks for \`$kind\`" >&2
            exit 1
            ;;
    esac
done < "$wanted"
