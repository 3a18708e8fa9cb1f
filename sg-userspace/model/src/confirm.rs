//! How long a change may wait for its confirmation, as users write it. It must never know what a change is. Arguments of `sgd` and
//! `sgctl` are read here, and requests checked.

use crate::age::Age;

/// The shortest time in which a change is to be confirmed, in seconds.
pub const SHORTEST_CONFIRM: u32 = 5;
/// The longest one: a day.
pub const LONGEST_CONFIRM: u32 = 86_400;

/// The time in `text`, such as `60s` or `10m`, in seconds.
///
/// # Errors
/// If it is none, or outside of the limits; for people.
pub fn confirm_seconds(text: &str) -> Result<u32, String> {
    let age: Age = text.parse().map_err(|error: crate::age::NoAge| error.to_string())?;
    let seconds = u32::try_from(age.duration().as_secs()).unwrap_or(u32::MAX);
    if (SHORTEST_CONFIRM..=LONGEST_CONFIRM).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("{text:?} is not {SHORTEST_CONFIRM} seconds to a day"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_limits() {
        assert_eq!(confirm_seconds("60s"), Ok(60));
        assert_eq!((confirm_seconds("5s"), confirm_seconds("1d")), (Ok(5), Ok(86_400)));
        for wrong in ["4s", "25h", "60", "", "soon", "9999d"] {
            assert!(confirm_seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
