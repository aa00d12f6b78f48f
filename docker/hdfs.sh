#!/usr/bin/env bash
# Starts an HDFS daemon: hdfs.sh namenode | datanode. The configuration is in HADOOP_CONF_DIR, the data in /hdfs.
set -euo pipefail

daemon() {  # class [argument …]
  local class=$1
  shift
  exec java "-Xmx${HDFS_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -cp "$HADOOP_CONF_DIR:/opt/vaxpulse/.jars/hdfs/*" \
    "org.apache.hadoop.hdfs.server.$class" "$@"
}

case $1 in
  namenode)
    if [ ! -e "$VAXPULSE_HDFS_STORAGE/name/current/VERSION" ]; then
      (daemon namenode.NameNode -format -nonInteractive)
    fi
    daemon namenode.NameNode
    ;;
  datanode)
    # A DataNode keeps its blocks under the name that it first had: clients are sent there, also after the container was made anew.
    # The network's DNS knows this container as <project>-datanode-<number>, whatever its own host name; of a number there is one at a time.
    name=$(getent -s dns hosts "$(hostname -i)" | awk '{ sub(/\..*/, "", $2); print $2 }')
    number=${name##*-}
    [[ $number =~ ^[0-9]+$ ]] || { echo "hdfs.sh: the network calls this container '$name', which ends in no number" >&2; exit 1; }
    export VAXPULSE_DATANODE_HOSTNAME=$name VAXPULSE_HDFS_STORAGE=/hdfs/datanode-$number
    daemon datanode.DataNode
    ;;
  *)
    echo "usage: hdfs.sh namenode | datanode" >&2
    exit 2
    ;;
esac
