//! Jiffies: the clock that costs the datapath next to nothing.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

use super::KernelError;

/// A time on the programs' clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jiffies {
    /// The time in jiffies.
    pub now: u64,
    /// Jiffies per second.
    pub hertz: u32,
}

/// Jiffies per second. The coarse clock ticks once a jiffy, so its resolution is one (`KTIME_LOW_RES`, include/linux/jiffies.h).
///
/// # Errors
/// If the kernel does not report the resolution.
pub fn jiffies_per_second() -> Result<u32, KernelError> {
    let nanoseconds = nanoseconds_of_a_jiffy()?;
    // Rounded: one jiffy of HZ=300 is 3,333,333 ns.
    Ok(((1_000_000_000 + nanoseconds / 2) / nanoseconds) as u32)
}

/// The current jiffies as programs see them, except for what was lost at boot: less than a second or two. They follow the
/// monotonic clock (`tick_do_update_jiffies64`, kernel/time/tick-sched.c), starting at minus five minutes, of which only 32 bits
/// count (`INITIAL_JIFFIES`, include/linux/jiffies.h).
///
/// # Errors
/// If the kernel does not report the time.
pub fn jiffies() -> Result<u64, KernelError> {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(KernelError::call("ask the monotonic clock"))?;
    let passed = Duration::from(now).as_nanos() / u128::from(nanoseconds_of_a_jiffy()?);
    let first = jiffies_per_second()?.wrapping_mul(300).wrapping_neg();
    Ok(u64::from(first).wrapping_add(passed as u64))
}

/// Nanoseconds on the clock of [`Event::at`](sg_common::event::Event::at).
///
/// # Errors
/// If the kernel does not report the time.
pub fn nanoseconds() -> Result<u64, KernelError> {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(KernelError::call("ask the monotonic clock"))?;
    Ok(u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX))
}

fn nanoseconds_of_a_jiffy() -> Result<u64, KernelError> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_err(KernelError::call("ask for the resolution of the coarse clock"))?;
    Ok(u64::try_from(tick.tv_nsec()).unwrap_or(0).max(1))
}
