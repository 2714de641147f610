# The first process of a node: `bash inside.sh FOLDER PAUSE`. Makes the world in which the kubelet finds itself, and stays.
set -eu
folder=$1
# Private from outside, shared inside: volumes of the host show what is mounted later.
mount --make-rprivate /
mount --make-rshared /
ip link set lo up
ip addr add 10.99.0.1/32 dev lo
# Services have no route of their own: what the node sends them needs one before kube-proxy sees it.
ip route add 10.96.0.0/16 dev lo src 10.99.0.1
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  [ -n "$controllers" ] || continue
  mkdir -p "/sys/fs/cgroup/${controllers#name=}"
  case $controllers in
    name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}" ;;
    *) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers" ;;
  esac
done </proc/self/cgroup
# Folders that the machine itself need not have: only in here they are there.
for above in /etc /run /var/lib; do
  mkdir -p "$folder/over$above" "$folder/work$above"
  mount -t overlay -o "lowerdir=$above,upperdir=$folder/over$above,workdir=$folder/work$above" overlay "$above"
done
for path in /var/lib/kubelet /var/lib/cni /var/lib/containerd /var/log /run/containerd /etc/cni /etc/kubernetes; do
  mkdir -p "$path" "$folder/files$path"
  mount --bind "$folder/files$path" "$path"
  mount --make-shared "$path"
done
mkdir -p /run/netns /var/log/pods /var/log/containers
mount -t tmpfs tmpfs /run/netns
mount --make-shared /run/netns
# Settings of the whole machine, which the kubelet and kube-proxy would change: they write to files instead.
mkdir -p "$folder/sysctl"
while read -r setting value; do
  [ -e "/proc/sys/$setting" ] || continue
  echo "$value" >"$folder/sysctl/${setting//\//_}"
  mount --bind "$folder/sysctl/${setting//\//_}" "/proc/sys/$setting"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
echo 1 >/proc/sys/net/ipv4/ip_forward
mkdir -p /etc/cni/net.d
cp "$folder/network.conflist" /etc/cni/net.d/10-lab.conflist
touch "$folder/ready"
exec "$2"
