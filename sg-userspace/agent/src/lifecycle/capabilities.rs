//! Checks what the host must provide before anything is loaded: capabilities. It must never look at a policy. Called once, by
//! `start`.

use std::fs;

use crate::error::AgentError;

/// Capability numbers of `linux/capability.h`.
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Reports missing capabilities early and by name, which the kernel would report late as EPERM.
pub(crate) fn check() -> Result<(), AgentError> {
    // No procfs: let the kernel judge.
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(()) };
    let missing = missing_capabilities(&status);
    if missing.is_empty() { Ok(()) } else { Err(AgentError::Privileges { missing }) }
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(Ok(effective)) = effective.map(|hex| u64::from_str_radix(hex.trim(), 16)) else {
        return Vec::new();
    };
    let has = |number: u32| effective >> number & 1 == 1;
    // CAP_SYS_ADMIN includes the two capabilities that were split from it in Linux 5.8.
    let needed = [
        ("CAP_BPF", has(BPF) || has(SYS_ADMIN)),
        ("CAP_PERFMON", has(PERFMON) || has(SYS_ADMIN)),
        ("CAP_NET_ADMIN", has(NET_ADMIN)),
    ];
    needed.into_iter().filter(|&(_, there)| !there).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let all = "Name:\tsgd\nCapEff:\t000001ffffffffff\n";
        assert!(missing_capabilities(all).is_empty());
        let none = "CapEff:\t0000000000000000\n";
        assert_eq!(missing_capabilities(none), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        let sys_admin_only = "CapEff:\t0000000000200000\n";
        assert_eq!(missing_capabilities(sys_admin_only), ["CAP_NET_ADMIN"]);
        assert!(missing_capabilities("no such line").is_empty());
    }
}
