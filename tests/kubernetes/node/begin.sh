# Begins a node: `bash begin.sh FOLDER NAME PAUSE`. Becomes the process whose end is the end of everything in the namespaces.
set -eu
folder=$1 name=$2
# Cgroups of its own, since the kubelet makes its own at the root of what it sees.
(
  while IFS=: read -r _ controllers path; do
    [ -n "$controllers" ] || continue
    cgroup=/sys/fs/cgroup/${controllers#name=}$path
    mkdir "${cgroup%/}/$name"
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$cgroup/$file" ]; then cat "$cgroup/$file" >"${cgroup%/}/$name/$file"; fi
    done
    printf '%s\n' "${cgroup%/}/$name" >>"$folder/cgroups"
  done
) </proc/self/cgroup
while read -r cgroup; do echo $$ >"$cgroup/cgroup.procs"; done <"$folder/cgroups"
exec unshare --mount --net --pid --cgroup --uts --ipc --fork --kill-child --mount-proc --propagation private \
  bash "$folder/inside.sh" "$folder" "$3"
