#!/bin/sh
# usage: install-deps.sh PACKAGES.TXT
# Install the Debian packages that the file names and that are missing. Does
# nothing when none is, or where there is no dpkg and apt-get; then the build
# says what it does not find.
set -eu

list=${1:?usage: install-deps.sh PACKAGES.TXT}
command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 || exit 0

wanted=$(sed 's/#.*//' "$list" | tr -s ' \t\r' '\n\n\n' | sed '/^$/d')
# One question for all of them; a package that dpkg never heard of is an error
# line on stderr, and missing all the same.
# shellcheck disable=SC2086
have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' $wanted 2>/dev/null || true)"
missing=
for p in $wanted; do
    case "$have" in *" installed:$p "*) ;; *) missing="$missing $p" ;; esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "bqb: these packages are missing, and neither root nor sudo is here to install them:" >&2
        echo "    apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "Installing with apt-get:$missing" >&2
# env, because sudo drops the environment.
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q"
$apt update >&2 || echo "bqb: apt-get update failed; trying with the lists that are here" >&2
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $missing >&2 || {
    echo "bqb: apt-get could not install:$missing" >&2
    exit 1
}
