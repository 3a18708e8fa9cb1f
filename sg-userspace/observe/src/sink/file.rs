//! Records in a file that is rotated.
//!
//! A disk that is full or fails is tried again every second; what comes meanwhile is kept in memory, within a limit. Called by
//! `Delivery`.

use std::{path::Path, sync::Arc};

use sg_host::rotated::{RotatedError, RotatedFile, Rotation};

use super::{
    backlog::Backlog,
    counters::{Counters, Why},
    interface::Sink,
};
use crate::{format::Format, record::Record};

pub(super) struct FileSink {
    file: RotatedFile,
    backlog: Backlog,
    /// Whether the last attempt failed: it is tried again on `retry`, not for every batch.
    failed: bool,
}

impl FileSink {
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        format: Format,
        counters: Arc<Counters>,
    ) -> Result<Self, RotatedError> {
        let file = RotatedFile::open(path, rotation)?;
        Ok(Self { file, backlog: Backlog::new(format, counters, Why::Storage), failed: false })
    }
}

fn drain(file: &mut RotatedFile, backlog: &mut Backlog, failed: &mut bool) {
    if *failed {
        return;
    }
    while let Some(chunk) = backlog.first() {
        if let Err(error) = file.append(&chunk.bytes) {
            *failed = true;
            backlog.counters().fails(Some(error.to_string()));
            return;
        }
        backlog.remove_first();
    }
    backlog.counters().fails(None);
}

impl Sink for FileSink {
    fn deliver(&mut self, records: &[Arc<Record>]) {
        let Self { file, backlog, failed } = self;
        backlog.add(records, |backlog| drain(file, backlog, failed));
    }

    fn no_data(&mut self, interval: &Record) {
        self.backlog.add_no_data(interval);
    }

    fn tell_loss(&mut self, records: u64) {
        self.backlog.tell_loss(records, Why::QueueFull);
    }

    fn retry(&mut self) {
        self.backlog.write_losses();
        let Self { file, backlog, failed } = self;
        *failed = false;
        drain(file, backlog, failed);
    }

    fn finish(&mut self) {
        self.retry();
        self.backlog.finish();
    }
}
