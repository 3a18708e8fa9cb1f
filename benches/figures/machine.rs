//! The machine on which figures were taken, in one paragraph.

use std::{env, fs, thread};

/// Processor, kernel and other things that figures depend on, and `how` they were taken.
pub(crate) fn describe(how: &str) -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let after = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word))?;
        line.split(':').nth(1).map(|value| value.trim().to_owned())
    };
    let cpu = read("/proc/cpuinfo");
    let memory = after(&read("/proc/meminfo"), "MemTotal")
        .and_then(|amount| amount.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kilobytes| format!(", {} GiB of memory", kilobytes.div_ceil(1 << 20)));
    let is_virtual =
        after(&cpu, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let jit = match read("/proc/sys/net/core/bpf_jit_enable").trim() {
        "0" => ", **without the JIT compiler of eBPF**",
        _ => "",
    };
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let governor = match governor.trim() {
        "" => String::new(),
        governor => format!(", frequency governor {governor}"),
    };
    format!(
        "{}{} with {} processors ({}){memory}{governor}; Linux {}{jit}. {how}",
        if is_virtual { "A virtual machine, " } else { "" },
        after(&cpu, "model name").unwrap_or_else(|| "an unnamed processor".to_owned()),
        thread::available_parallelism().map_or(1, usize::from),
        env::consts::ARCH,
        read("/proc/sys/kernel/osrelease").trim(),
    )
    .trim()
    .to_owned()
}
