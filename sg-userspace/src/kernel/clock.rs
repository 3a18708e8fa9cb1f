//! Jiffies: the clock that costs the datapath nothing.

use nix::time::{ClockId, clock_getres};

use super::KernelError;

/// Jiffies a second. The coarse clock ticks once a jiffy, so its resolution is one (`KTIME_LOW_RES`,
/// include/linux/jiffies.h).
///
/// # Errors
/// Where the kernel does not tell.
pub fn jiffies_per_second() -> Result<u32, KernelError> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_err(KernelError::call("ask for the resolution of the coarse clock"))?;
    let nanoseconds = u64::try_from(tick.tv_nsec()).unwrap_or(0).max(1);
    // Rounded: one jiffy of HZ=300 is 3,333,333 ns.
    Ok(((1_000_000_000 + nanoseconds / 2) / nanoseconds) as u32)
}
