#!/usr/bin/env bash
# Runs a command with an HDFS of its own: a mini cluster of one data node, and HttpFS before it.
#
# Usage: with_hdfs.sh COMMAND...
#   The command sees TARN_WEBHDFS and TARN_HTTPFS, each host:port, and the user HADOOP_USER_NAME.
. "$(dirname "${BASH_SOURCE[0]}")/services.sh"

version=3.4.1
jars "$services/hdfs" org.apache.hadoop:hadoop-minicluster:$version \
    org.apache.hadoop:hadoop-hdfs-httpfs:$version junit:junit:4.13.2 org.mockito:mockito-core:2.28.2 \
    com.fasterxml.jackson.core:jackson-core:2.12.7

rpc_port=$(free_port)
http_port=$(free_port)
httpfs_port=$(free_port)
user=$(id -un)
cd "$scratch"
mkdir -p tmp etc log
printf 'log4j.rootLogger=ERROR,A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\nlog4j.appender.A.layout=org.apache.log4j.SimpleLayout\n' >etc/log4j.properties
cat >etc/core-site.xml <<X
<configuration><property><name>fs.defaultFS</name><value>hdfs://127.0.0.1:$rpc_port</value></property>
<property><name>dfs.client.block.write.replace-datanode-on-failure.policy</name><value>NEVER</value></property></configuration>
X
cat >etc/httpfs-site.xml <<X
<configuration><property><name>httpfs.http.port</name><value>$httpfs_port</value></property>
<property><name>httpfs.http.hostname</name><value>127.0.0.1</value></property>
<property><name>httpfs.hadoop.config.dir</name><value>$scratch/etc</value></property></configuration>
X
echo for-tests-only >etc/httpfs-signature.secret

launch "${java_small[@]}" -Dtest.build.data=tmp -Dhadoop.log.dir=log -cp "etc:$services/hdfs/lib/*" \
    org.apache.hadoop.test.MiniDFSClusterManager -datanodes 1 -format -nnport "$rpc_port" \
    -httpport "$http_port" -writeDetails details.json -D dfs.replication=1 \
    -D "hadoop.proxyuser.$user.hosts=*" -D "hadoop.proxyuser.$user.groups=*"
wait_for test -s details.json
launch "${java_small[@]}" -Dhttpfs.home.dir="$scratch" -Dhttpfs.config.dir="$scratch/etc" \
    -Dhttpfs.log.dir="$scratch/log" -Dhttpfs.temp.dir="$scratch/tmp" -cp "etc:$services/hdfs/lib/*" \
    org.apache.hadoop.fs.http.server.HttpFSServerWebServer
wait_for curl -sf "http://127.0.0.1:$httpfs_port/webhdfs/v1/?op=LISTSTATUS&user.name=$user"

unset AWS_ENDPOINT_URL
export TARN_WEBHDFS=127.0.0.1:$http_port TARN_HTTPFS=127.0.0.1:$httpfs_port HADOOP_USER_NAME=$user
"$@"
