#!/bin/sh
# rootfs.sh FOLDER PACKAGE...: unpack Debian packages and what they depend on into a folder, without running anything of them.
set -eu
root=$1; shift
# Needed to install packages, or by hand at a terminal; never by a program that runs.
left_out=' adduser base-passwd debconf debianutils dpkg dash libdb5.3 libdb5.3t64 media-types netbase passwd perl-base python3-minimal readline-common tar '
mkdir -p state/lists archives/partial "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" "$root/opt" \
	"$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/var/lib/dpkg/status.d" "$root/var/lib/seawall-sensor"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
chmod 1777 "$root/tmp"
: > status
apt-get install -y -qq --download-only --no-install-recommends -o Dir::State::status="$PWD/status" \
	-o Dir::Cache::archives="$PWD/archives" -o Debug::NoLocking=1 "$@"
for deb in archives/*.deb; do
	name=$(dpkg-deb -f "$deb" Package)
	case "$left_out" in *" $name "*) continue ;; esac
	dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
	dpkg-deb -f "$deb" > "$root/var/lib/dpkg/status.d/$name"
done
# The interpreter's name is a link of a package that was left out on some releases.
[ -e "$root/usr/bin/python3" ] || ln -s "$(basename "$(readlink -f /usr/bin/python3)")" "$root/usr/bin/python3"
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/lintian" "$root/usr/share/locale" "$root/usr/share/info"
echo 'root:x:0:0:root:/:/sbin/nologin' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
