# Begins a node: `bash begin.sh FOLDER CGROUP PAUSE`. Becomes the process whose end is the end of everything in the namespaces.
set -eu
folder=$1 cgroup=$2 pause=$3
# Cgroups of its own, at the same path in every hierarchy. There is no namespace of them: the kernel's log calls a cgroup by its
# whole path, and what counts the killed looks for that.
while IFS=: read -r _ controllers _; do
  [ -n "$controllers" ] || continue
  level=/sys/fs/cgroup/${controllers#name=}
  IFS=/ read -ra names <<<"${cgroup#/}"
  for name in "${names[@]}"; do
    above=$level level=$level/$name
    [ ! -d "$level" ] || continue
    mkdir "$level"
    echo "$level" >>"$folder/cgroups.made"
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$above/$file" ]; then cat "$above/$file" >"$level/$file"; fi
    done
  done
  echo "$level" >>"$folder/cgroups"
done </proc/self/cgroup
while read -r level; do echo $$ >"$level/cgroup.procs"; done <"$folder/cgroups"
exec unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc --propagation private \
  bash "$folder/inside.sh" "$folder" "$pause"
