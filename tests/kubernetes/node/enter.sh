# Runs a command in a node's namespaces and cgroups: `bash enter.sh FOLDER PATH LIBRARIES COMMAND...`.
set -eu
folder=$1
export PATH=$2 LD_LIBRARY_PATH=$3
shift 3
while read -r cgroup; do echo $$ >"$cgroup/cgroup.procs"; done <"$folder/cgroups"
exec nsenter -t "$(cat "$folder/init.pid")" --mount --net --pid --uts --ipc "$@"
