#!/bin/sh
# What is installed can be used: by find_package (shared, static, unsaid), by pkg-config (shared and
# static), and after the whole tree was moved. A wrong version is refused.
#
# Usage: test_package.sh CMAKE BUILD_DIR WORK_DIR CC LIBDIR VERSION
set -eu
cmake=$1 build=$2 work=$3 cc=$4 libdir=$5 version=$6
here=$(cd "$(dirname "$0")" && pwd)
expected="$version TARN_OK"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

expect() { # expect CLAIM PROGRAM
    answer=$("$2") || fail "$1: the program ended with an error"
    [ "$answer" = "$expected" ] || fail "$1: '$answer' instead of '$expected'"
    echo "ok      $1"
}

rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/first" >"$work/install.log"
# Nothing in the installed tree may depend on where it was installed.
mv "$work/first" "$work/moved"
prefix=$work/moved

configure() { # configure NAME KIND [OPTION...]
    name=$1 kind=$2
    shift 2
    "$cmake" -S "$here/consumer" -B "$work/$name" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DKIND="$kind" "$@" >"$work/$name.log" 2>&1
}

for kind in shared static any; do
    configure "cmake-$kind" "$kind" -DWANTED_VERSION="${version%.*}" ||
        fail "find_package $kind: $(cat "$work/cmake-$kind.log")"
    "$cmake" --build "$work/cmake-$kind" >>"$work/cmake-$kind.log" 2>&1 ||
        fail "building with $kind: $(cat "$work/cmake-$kind.log")"
    expect "find_package $kind" "$work/cmake-$kind/consumer"
done
ldd "$work/cmake-static/consumer" | grep -q libtarn && fail "the static consumer needs libtarn.so"
ldd "$work/cmake-shared/consumer" | grep -q "$prefix" || fail "the shared consumer does not use $prefix"
configure wrong shared -DWANTED_VERSION=99.0 && fail "find_package accepts version 99.0"
grep -q "$version" "$work/wrong.log" || fail "the refusal does not name $version"
echo "ok      find_package refuses another version"

for kind in shared static; do
    configure "testkit-$kind" "$kind" -DTESTKIT=ON || fail "find_package testkit: $(cat "$work/testkit-$kind.log")"
    "$cmake" --build "$work/testkit-$kind" >>"$work/testkit-$kind.log" 2>&1 ||
        fail "building with the test kit: $(cat "$work/testkit-$kind.log")"
    "$work/testkit-$kind/own_storage" >"$work/suite" || fail "the suite over a storage of one's own: $(cat "$work/suite")"
    grep -q '^ok .*read back' "$work/suite" || fail "the suite does not report: $(cat "$work/suite")"
    echo "ok      find_package testkit, $kind"
done
# It can fail: a storage that forgets what it was given does not pass.
if FORGETFUL=1 "$work/testkit-shared/own_storage" >"$work/suite"; then
    fail "a storage that forgets passes the suite"
fi
grep -q '^FAILED' "$work/suite" || fail "the suite does not say what failed: $(cat "$work/suite")"
echo "ok      the suite refuses a storage that forgets"

export PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig"
[ "$(pkg-config --modversion tarn)" = "$version" ] || fail "pkg-config has another version"
# The words that pkg-config answers are options of the compiler, each one word.
# shellcheck disable=SC2046
"$cc" -o "$work/by-pkg-config" "$here/consumer/consumer.c" $(pkg-config --cflags --libs tarn)
LD_LIBRARY_PATH="$prefix/$libdir" expect "pkg-config" "$work/by-pkg-config"
# shellcheck disable=SC2046
"$cc" -o "$work/testkit-by-pkg-config" "$here/consumer/own_storage.c" $(pkg-config --cflags --libs tarn-testkit)
LD_LIBRARY_PATH="$prefix/$libdir" "$work/testkit-by-pkg-config" >"$work/suite" || fail "the suite by pkg-config: $(cat "$work/suite")"
echo "ok      pkg-config tarn-testkit"
libraries=$(pkg-config --static --libs tarn | sed "s|-ltarn |$prefix/$libdir/libtarn.a |")
# shellcheck disable=SC2046,SC2086
"$cc" -DTARN_STATIC -o "$work/by-pkg-config-static" "$here/consumer/consumer.c" $(pkg-config --cflags tarn) $libraries
expect "pkg-config --static" "$work/by-pkg-config-static"

for name in README.md LICENSE docs/ARCHITECTURE.md; do
    [ -s "$prefix/share/doc/tarn/$name" ] || fail "$name is not installed"
done
if [ -x "$prefix/bin/tarn" ]; then
    "$prefix/bin/tarn" plan taskmanager -D taskmanager.memory.process.size=1728m --json |
        grep -q '"ok": *true' || fail "the installed command does not plan"
    echo "ok      the installed command"
fi
