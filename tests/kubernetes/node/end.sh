# Ends what a node leaves behind: `bash end.sh FOLDER`. Its processes are being killed; what holds its cgroups is not gone yet.
folder=$1
for _ in $(seq 300); do
  held=
  while read -r cgroup; do
    [ -d "$cgroup" ] || continue
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$cgroup" ] && held=yes
  done <"$folder/cgroups"
  [ -n "$held" ] || break
  sleep 0.1
done
# Those above, unless another node has come to use them.
tac "$folder/cgroups.made" | while read -r cgroup; do [ ! -d "$cgroup" ] || rmdir "$cgroup" 2>/dev/null; done
rm -rf "$folder"
