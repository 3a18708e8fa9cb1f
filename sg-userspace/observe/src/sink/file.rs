//! Records in a file that is rotated.
//!
//! A file that cannot be opened, and a disk that is full or fails, is tried again every second; what comes meanwhile is kept in
//! memory, within a limit. Called by `Delivery`.

use std::{path::PathBuf, sync::Arc};

use sg_host::rotated::{RotatedError, RotatedFile, Rotation};

use super::{
    backlog::Backlog,
    counters::{Counters, Why},
    interface::Sink,
};
use crate::{format::Format, record::Record};

pub(super) struct FileSink {
    place: Place,
    backlog: Backlog,
    /// Whether the last attempt failed: it is tried again on `retry`, not for every batch.
    failed: bool,
}

/// The file, once it is open.
struct Place {
    path: PathBuf,
    rotation: Rotation,
    file: Option<RotatedFile>,
}

impl Place {
    fn open(&mut self) -> Result<&mut RotatedFile, RotatedError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => RotatedFile::open(&self.path, self.rotation)?,
        };
        Ok(self.file.insert(file))
    }
}

impl FileSink {
    /// Opens the file, to say at the start what is wrong with it.
    pub(super) fn new(path: PathBuf, rotation: Rotation, format: Format, counters: Arc<Counters>) -> Self {
        let backlog = Backlog::new(format, counters, Why::Storage);
        let mut sink = Self { place: Place { path, rotation, file: None }, backlog, failed: false };
        sink.retry();
        sink
    }
}

fn drain(place: &mut Place, backlog: &mut Backlog, failed: &mut bool) {
    if *failed {
        return;
    }
    let drained = place.open().and_then(|file| {
        while let Some(chunk) = backlog.first() {
            file.append(&chunk.bytes)?;
            backlog.remove_first();
        }
        Ok(())
    });
    *failed = drained.is_err();
    backlog.counters().fails(drained.err().map(|error| error.to_string()));
}

impl Sink for FileSink {
    fn deliver(&mut self, records: &[Arc<Record>]) {
        let Self { place, backlog, failed } = self;
        backlog.add(records, |backlog| drain(place, backlog, failed));
    }

    fn no_data(&mut self, interval: &Record) {
        self.backlog.add_no_data(interval);
    }

    fn tell_loss(&mut self, records: u64) {
        self.backlog.tell_loss(records, Why::QueueFull);
    }

    fn retry(&mut self) {
        self.backlog.write_losses();
        let Self { place, backlog, failed } = self;
        *failed = false;
        drain(place, backlog, failed);
    }

    fn finish(&mut self) {
        self.retry();
        self.backlog.finish();
    }
}
