#!/usr/bin/env bash
# Starts an HDFS daemon: hdfs.sh namenode | datanode. HADOOP_CONF_DIR has the configuration, /hdfs the data.
set -euo pipefail

daemon() {  # folders of the class path before the jars, class [argument …]
  local folders=$1 class=$2
  shift 2
  exec java "-Xmx${HDFS_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -cp "$folders:/opt/vaxpulse/.jars/hdfs/*" \
    "org.apache.hadoop.hdfs.server.$class" "$@"
}

case $1 in
  namenode)
    folders=$HADOOP_CONF_DIR:/opt/vaxpulse/namenode
    if [ ! -e "$VAXPULSE_HDFS_STORAGE/name/current/VERSION" ]; then
      (daemon "$folders" namenode.NameNode -format -nonInteractive)
    fi
    # The NameNode merges its edit log into an image only when it starts. This command does it every day.
    (
      while sleep 86400; do
        (daemon "$HADOOP_CONF_DIR" namenode.SecondaryNameNode -checkpoint force) || true
      done
    ) &
    daemon "$folders" namenode.NameNode
    ;;
  datanode)
    # The NameNode sends clients to a DataNode's host name, which must stay the same for the same data. DNS
    # has the stable name <project>-datanode-<number> for this container; its own host name changes when the
    # container is recreated.
    name=$(getent -s dns hosts "$(hostname -i)" | awk '{ sub(/\..*/, "", $2); print $2 }')
    number=${name##*-}
    [[ $number =~ ^[0-9]+$ ]] || { echo "hdfs.sh: the DNS name '$name' of this container does not end in a number" >&2; exit 1; }
    export VAXPULSE_DATANODE_HOSTNAME=$name VAXPULSE_HDFS_STORAGE=/hdfs/datanode-$number
    daemon "$HADOOP_CONF_DIR/../datanode:$HADOOP_CONF_DIR" datanode.DataNode
    ;;
  *)
    echo "usage: hdfs.sh namenode | datanode" >&2
    exit 2
    ;;
esac
