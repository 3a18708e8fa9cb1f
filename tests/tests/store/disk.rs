//! A simulated disk: what was written since the last sync is lost, or half lost, when the power fails.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::StorageBackend;

/// What is written as a whole.
const SECTOR: usize = 512;

/// What happens at the write that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The power goes: nothing works from then on.
    PowerLoss,
    /// The disk is full: that write fails.
    Full,
    /// That write fails; where it is a sync, what it was to sync never comes to the disk, and reads show it
    /// nevertheless. So does Linux.
    Broken,
    /// All writes fail from then on, until the trouble is over.
    Dead,
}

/// A write that is not on the disk yet.
#[derive(Clone, Debug)]
enum Pending {
    Length(usize),
    Write(usize, Vec<u8>),
}

#[derive(Debug, Default)]
struct Content {
    /// What reads show.
    shown: Vec<u8>,
    /// What is there after the power was lost.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    writes: u64,
    trouble: Option<(u64, Trouble)>,
    off: bool,
}

/// A disk; the same one for who has a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Content>>);

impl Disk {
    /// A disk with something on it.
    pub(crate) fn with(durable: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.content().shown.clone_from(&durable);
        disk.content().durable = durable;
        disk
    }

    /// The trouble comes at a write from now on, 1 being the next.
    pub(crate) fn trouble_at(&self, write: u64, trouble: Trouble) {
        let mut content = self.content();
        content.trouble = Some((content.writes + write, trouble));
    }

    /// Whether the trouble came.
    pub(crate) fn is_troubled(&self) -> bool {
        let content = self.content();
        content.trouble.is_some_and(|(write, _)| write <= content.writes)
    }

    /// The trouble is over, where it came.
    pub(crate) fn repair(&self) {
        let mut content = self.content();
        let writes = content.writes;
        content.trouble.take_if(|(write, _)| *write <= writes);
    }

    /// What may be on the disk after the power is lost now: of what was not synced yet a part that `lands` chooses.
    pub(crate) fn after_power_loss(&self, mut lands: impl FnMut() -> bool) -> Vec<u8> {
        let content = self.content();
        let mut left = content.durable.clone();
        for pending in &content.pending {
            match pending {
                Pending::Length(_) => {
                    if lands() {
                        pending.apply(&mut left);
                    }
                }
                Pending::Write(offset, data) => {
                    for (place, sector) in data.chunks(SECTOR).enumerate() {
                        if lands() {
                            write(&mut left, offset + place * SECTOR, sector);
                        }
                    }
                }
            }
        }
        left
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("no test panics here")
    }
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Write(offset, data) => write(content, *offset, data),
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

impl Content {
    fn working(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("there is no power")) } else { Ok(()) }
    }

    /// Counts a write; says what is wrong with it.
    fn meet(&mut self) -> io::Result<Option<Trouble>> {
        self.working()?;
        self.writes += 1;
        match self.trouble {
            Some((at, trouble)) if at == self.writes || (at < self.writes && trouble == Trouble::Dead) => {
                self.off = trouble == Trouble::PowerLoss;
                Ok(Some(trouble))
            }
            _ => Ok(None),
        }
    }

    fn accept(&mut self, pending: Pending) -> io::Result<()> {
        match self.meet()? {
            None => {}
            Some(Trouble::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Trouble::PowerLoss | Trouble::Broken | Trouble::Dead) => {
                return Err(io::Error::other("the disk does not work"));
            }
        }
        pending.apply(&mut self.shown);
        self.pending.push(pending);
        Ok(())
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "read behind the end")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let content = self.content();
        content.working()?;
        Ok(content.shown.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content();
        content.working()?;
        let offset = usize::try_from(offset).map_err(|_| outside())?;
        let from = content.shown.get(offset..offset + out.len()).ok_or_else(outside)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).map_err(|_| outside())?;
        self.content().accept(Pending::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content();
        let trouble = content.meet()?;
        if trouble.is_some() {
            if trouble == Some(Trouble::Broken) {
                content.pending.clear();
            }
            return Err(io::Error::other("the disk does not work"));
        }
        let content = &mut *content;
        for pending in content.pending.drain(..) {
            pending.apply(&mut content.durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| outside())?;
        self.content().accept(Pending::Write(offset, data.to_owned()))
    }
}
