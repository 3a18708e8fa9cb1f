//! The time between two readings of a clock. CPUs read it one after the other and write the result to the same place, so a stored
//! reading may be *later* than the one it is compared with. Every age of an entry is computed here, and nowhere else. Called by
//! flows, fragments and rejects, and by the agent's ageing pass.

/// Time since `then`, in the unit of the clock: 0 if it is ahead of `now`, because another CPU read the clock a moment later. The
/// clock may wrap at 2⁶⁴, as jiffies do, which begin near there.
#[inline(always)]
#[must_use]
pub const fn elapsed(now: u64, then: u64) -> u64 {
    let ago = now.wrapping_sub(then);
    // Signed, as the kernel's `time_after64`: what would be longer ago than half of all time lies ahead.
    if ago.cast_signed() < 0 { 0 } else { ago }
}

#[cfg(test)]
mod tests {
    use super::elapsed;

    #[test]
    fn what_lies_ahead_is_not_long_ago() {
        for (now, then, wanted) in [
            (0, 0, 0),
            (1_000, 1_000, 0),
            (1_000, 999, 1),
            // Another CPU has already recorded the next jiffy.
            (1_000, 1_001, 0),
            (u64::MAX, 0, 0),
            (0, u64::MAX, 1),
            (49, u64::MAX - 50, 100),
            (u64::MAX - 50, 49, 0),
            (1 << 62, 0, 1 << 62),
        ] {
            assert_eq!(elapsed(now, then), wanted, "{then} at {now}");
        }
    }
}
