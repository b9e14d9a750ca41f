#!/usr/bin/env bash
# Runs a command with an S3 server of its own: S3Proxy, which checks signatures.
#
# Usage: with_s3proxy.sh COMMAND...
#   The command sees AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and the bucket
#   tarn-test.
#
#   TARN_S3_SERVER=s3proxy        objects in memory, the default
#   TARN_S3_SERVER=s3proxy-files  objects in files below TMPDIR, with all of Java's speed: for measuring
#   TARN_S3_SERVER=versitygw      another server, also on files (built by Go the first time, minutes)
. "$(dirname "${BASH_SOURCE[0]}")/services.sh"

port=$(free_port)
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret1
export AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL_S3 TARN_WEBHDFS TARN_HTTPFS

# start_s3proxy [FOLDER]   without a folder objects are in memory.
start_s3proxy() {
    # All objects of a run are in its heap, and nobody removes them: the last of several -Xmx counts.
    local java=("${java_small[@]}" -Xmx1g) provider=transient-nio2
    if [ $# -gt 0 ]; then
        java=(java -Xmx1g)
        provider=filesystem-nio2
        mkdir -p "$1"
    fi
    jars "$services/s3proxy" org.gaul:s3proxy:4.1.0 com.fasterxml.jackson.core:jackson-annotations:2.21
    cat >"$scratch/s3proxy.properties" <<X
s3proxy.endpoint=$AWS_ENDPOINT_URL
s3proxy.authorization=aws-v4
s3proxy.identity=$AWS_ACCESS_KEY_ID
s3proxy.credential=$AWS_SECRET_ACCESS_KEY
jclouds.provider=$provider
jclouds.filesystem.basedir=${1:-}
X
    echo '<configuration><root level="OFF"/></configuration>' >"$scratch/logback.xml"
    launch "${java[@]}" -cp "$scratch:$services/s3proxy/lib/*" org.gaul.s3proxy.Main \
        --properties "$scratch/s3proxy.properties"
    wait_for curl -s -o /dev/null "$AWS_ENDPOINT_URL/"
    curl -sS --aws-sigv4 aws:amz:us-east-1:s3 -u "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" -X PUT "$AWS_ENDPOINT_URL/tarn-test"
}

start_versitygw() {
    if [ ! -x "$services/versitygw" ]; then
        command -v go >/dev/null || skip "go is not installed"
        GOBIN=$services go install -ldflags='-s -w' github.com/versity/versitygw/cmd/versitygw@v1.8.0 ||
            skip "Go could not build versitygw"
    fi
    mkdir -p "$scratch/data/tarn-test"
    launch env ROOT_ACCESS_KEY="$AWS_ACCESS_KEY_ID" ROOT_SECRET_KEY="$AWS_SECRET_ACCESS_KEY" \
        "$services/versitygw" --port "127.0.0.1:$port" --health /health posix "$scratch/data"
    wait_for curl -sf -o /dev/null "$AWS_ENDPOINT_URL/health"
}

case ${TARN_S3_SERVER:-s3proxy} in
s3proxy) start_s3proxy ;;
s3proxy-files) start_s3proxy "$scratch/data" ;;
versitygw) start_versitygw ;;
*) echo "TARN_S3_SERVER is none of s3proxy, s3proxy-files and versitygw" && exit 1 ;;
esac
"$@"
