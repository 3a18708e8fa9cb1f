//! The time by which requests are judged. It must never decide what is too old: authentication does. Tests have clocks that stand
//! still.

use std::sync::Arc;

use jiff::Timestamp;

/// The source of the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the host.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}
