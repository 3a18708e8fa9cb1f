//! Names of devices in messages: which one was meant, and not too many of them. It must never look at a host. `unfiltered` and
//! `leaving` call it.

/// How many devices a message names.
const FEW: usize = 5;

/// The device that was probably meant, if there is one that differs by a single typo.
pub(super) fn meant(name: &str, others: &[String]) -> Option<String> {
    let is_close = |other: &&String| {
        other.len().abs_diff(name.len()) <= 1 && strsim::damerau_levenshtein(name, other) == 1
    };
    others.iter().find(is_close).cloned()
}

pub(super) fn few(names: &[String]) -> String {
    let shown = names.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_close_and_another_device_is_not() {
        let others = ["docker0", "eth0", "eth1"].map(str::to_owned);
        assert_eq!(meant("eht0", &others).as_deref(), Some("eth0"));
        assert_eq!(meant("eth", &others).as_deref(), Some("eth0"));
        assert_eq!(meant("wlan0", &others), None);
    }

    #[test]
    fn a_long_list_is_truncated() {
        let names: Vec<String> = (0..9).map(|number| format!("tap{number}")).collect();
        assert_eq!(few(&names), "tap0, tap1, tap2, tap3, tap4 and 4 more");
    }
}
