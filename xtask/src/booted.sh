# What is looked at in a Debian that was booted with the unit: each step says what it shows, and the first that fails ends it.
set -eu

step() { echo "==> $*"; }
property() { systemctl show --property "$2" --value "$1"; }

step 'the network is up, with a lease'
for _ in $(seq 120); do
    ip -4 -oneline address show dev eth0 scope global | grep -q inet && break
    sleep 1
done
ip -brief address show dev eth0
ip -4 route show default | grep 'proto dhcp'

step 'the filter was in force before the network came up'
filter=$(property sgd ActiveEnterTimestampMonotonic)
network=$(property systemd-networkd ExecMainStartTimestampMonotonic)
echo "sgd $filter us, systemd-networkd $network us"
[ "$filter" -gt 0 ] && [ "$filter" -lt "$network" ]

step 'the filter outlives the agent'
journalctl --no-pager --unit sgd | grep 'ready .*pinned=host'

step 'what it counted: the lease came through it'
sgctl stats
sgctl stats | grep -q 'eth0 *ingress *dhcp'

step 'what may leave gets its reply'
ping -c 3 10.0.2.2 | grep ' 0% packet loss'

step 'the agent may write where the unit says, and nowhere else'
agent=$(property sgd MainPID)
nsenter --target "$agent" --mount touch /run/sgd/written
for place in /usr /etc /boot /var /sys/fs/cgroup; do
    if nsenter --target "$agent" --mount touch "$place/written"; then
        echo "it may write $place"
        false
    fi
done
[ -z "$(nsenter --target "$agent" --mount ls --almost-all /root)" ]
grep -E 'CapEff:\s+000000c000001000|NoNewPrivs:\s+1|Seccomp:\s+2' "/proc/$agent/status" | tee /tmp/held
[ "$(wc -l </tmp/held)" = 3 ]

step 'a restart adopts what is in force'
systemctl restart sgd
journalctl --no-pager --unit sgd | grep 'adopting what an earlier agent'
ping -c 3 10.0.2.2 | grep ' 0% packet loss'

step 'systemd-analyze security'
systemd-analyze --no-pager security sgd | tail -n 1
