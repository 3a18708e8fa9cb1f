//! The SSH session in which a process was started. It must never fail its caller: whoever came another way has none. `sgctl` asks
//! once, and sends it with every change; `sgd run` asks at its start.

use std::fs;

/// The variable that sshd sets for the programs of a session.
const VARIABLE: &str = "SSH_CONNECTION";

/// How many generations of processes are asked. Between a login shell and its commands there are few.
const GENERATIONS: usize = 16;

/// What sshd says of the connection (`CLIENT PORT SERVER PORT`), from this process's environment, or from that of the process which
/// started it, and so on: sudo and su take the variable away.
#[must_use]
pub fn connection() -> Option<String> {
    if let Ok(own) = std::env::var(VARIABLE) {
        return Some(own);
    }
    let mut process = "self".to_owned();
    for _ in 0..GENERATIONS {
        process = parent(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)?;
        // Of other users' processes, only root reads the environment.
        if let Some(found) = fs::read(format!("/proc/{process}/environ")).ok().and_then(|all| value(&all)) {
            return Some(found);
        }
    }
    None
}

/// The process that started one, from `/proc/PID/status`; init has none.
fn parent(status: &str) -> Option<String> {
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| parent.to_owned())
}

/// The variable in an environment of `NAME=VALUE`s, each with a NUL behind it.
fn value(environment: &[u8]) -> Option<String> {
    let variables = environment.split(|&byte| byte == 0).filter_map(|variable| str::from_utf8(variable).ok());
    let found = variables.filter_map(|variable| variable.split_once('=')).find(|(name, _)| *name == VARIABLE);
    found.map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_found_among_others() {
        let environment = b"A=1\0SSH_CONNECTION_X=no\0SSH_CONNECTION=192.0.2.7 50000 10.0.0.5 22\0Z=\xff\0";
        assert_eq!(value(environment).as_deref(), Some("192.0.2.7 50000 10.0.0.5 22"));
        assert_eq!(value(b"A=1\0"), None);
    }

    #[test]
    fn the_way_up_ends() {
        assert_eq!(parent("Name:\tsgctl\nPPid:\t123\n").as_deref(), Some("123"));
        assert_eq!(parent("Name:\tinit\nPPid:\t0\n"), None);
        assert_eq!(parent(""), None);
    }
}
