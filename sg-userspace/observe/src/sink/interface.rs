//! What every sink can do.
//!
//! A file of its own, since the sinks and whoever drives them both need it. `Delivery` calls it.

use std::sync::Arc;

use crate::record::Record;

/// Delivers records, or keeps a bounded amount of them until it can. No call may take longer than some seconds.
pub(super) trait Sink: Send {
    /// Delivers `records`, after what is kept.
    fn deliver(&mut self, records: &[Arc<Record>]);

    /// Delivers that the NIC of `interval` had no traffic.
    fn no_data(&mut self, interval: &Record);

    /// Says, with the next records, that `records` were lost before they got here. They have been counted.
    fn tell_loss(&mut self, records: u64);

    /// Tries again to deliver what is kept. Called about once a second.
    fn retry(&mut self);

    /// Tries for the last time; what is left then is lost.
    fn finish(&mut self);
}
