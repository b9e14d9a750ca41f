# services.sh - sourced: how the services of the integration cases are had, started and stopped.
#
# Packages are kept in $TARN_SERVICES, so that only the first run fetches them. A service listens on
# 127.0.0.1 only, and ends with the script that started it.
set -euo pipefail

services=${TARN_SERVICES:?the folder that keeps the services is not named}
mkdir -p "$services"
scratch=$(mktemp -d)
children=()

finish() {
    local pid
    for pid in "${children[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap finish EXIT

skip() {
    echo "SKIPPED: $*"
    exit 77
}

# jars FOLDER GROUP:ARTIFACT:VERSION...   fills FOLDER/lib by Maven, once.
jars() {
    local folder=$1 part group artifact version
    shift
    command -v java >/dev/null || skip "java is not installed (Debian: default-jre-headless)"
    exec 8>"$folder.lock"
    flock 8
    if [ -e "$folder/complete" ]; then
        exec 8>&-
        return
    fi
    command -v mvn >/dev/null || skip "mvn is not installed (Debian: maven)"
    rm -rf "$folder"
    mkdir -p "$folder"
    {
        echo '<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies>'
        for part; do
            IFS=: read -r group artifact version <<<"$part"
            echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$folder/pom.xml"
    if ! timeout 240 mvn -q -B -f "$folder/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$folder/lib" >"$folder/log" 2>&1 </dev/null; then
        tail -n 5 "$folder/log"
        skip "Maven could not fetch $1"
    fi
    touch "$folder/complete"
    exec 8>&-
}

# A port that is free now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# launch COMMAND...   in the background, in the current folder; its output goes to $scratch/output.
launch() {
    "$@" >>"$scratch/output" 2>&1 </dev/null &
    children+=($!)
}

# wait_for COMMAND...   until it succeeds, at most a minute.
wait_for() {
    local i
    for i in $(seq 300); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "${children[-1]}" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$scratch/output"
    echo "the service did not come up"
    exit 1
}

java_small=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
