#!/bin/sh
# Installs what building and testing need on Debian 12, as far as it is missing. Asks nothing. Needs root.
#   sh tests/install-deps.sh [PACKAGE...]   more packages than the usual ones
#
# Postfix is installed without a configuration, and only where no other mail server would have to go: the tests start
# instances of their own beside it and never touch /etc/postfix.
set -eu

packages="gcc clang libclang-rt-14-dev make xz-utils autoconf automake pkg-config patch
    libmilter-dev libevent-dev libjansson-dev libcurl4-openssl-dev libcap-ng-dev libsystemd-dev libconfuse-dev
    libidn2-dev libpsl-dev check libsubunit-dev chromium chromium-driver python3-selenium prometheus mandoc systemd
    curl bash-completion
    libdb5.3 libldap-2.5-0 libnsl2 libsasl2-2 libssl3 libwrap0
    postfix miltertest m4 iproute2 procps util-linux libc-bin hostname python3 python3-pytest
    python3-pytest-xdist"

# A second copy waits here until the first has installed everything.
exec 9</etc/debian_version
flock 9

missing=
for package in $packages "$@"; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
    'install ok installed') ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "tests: these packages are missing, and only root can install them:$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# At its first boot the system may be at its lists itself, for whose lock apt-get does not wait.
attempts=0
until apt-get update -q >/dev/null 9<&-; do
    attempts=$((attempts + 1))
    [ "$attempts" -lt 12 ] || exit 1
    sleep 5
done
# shellcheck disable=SC2086 # a list of words
removed=$(apt-get install -s -y --no-install-recommends $missing | sed -n 's/^Remv \([^ ]*\).*/\1/p')
if [ -n "$removed" ]; then
    echo "tests: installing$missing would remove:" "$removed" >&2
    echo "tests: use a machine where that does no harm, for example a container" >&2
    exit 1
fi
case $missing in
*postfix*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
esac
# shellcheck disable=SC2086
apt-get install -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 --no-install-recommends $missing >/dev/null 9<&-
