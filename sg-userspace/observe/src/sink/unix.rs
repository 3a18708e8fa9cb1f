//! Records to a unix stream socket on which a collector listens.
//!
//! This end connects, and connects again after a pause: a collector can be restarted, and begins anywhere in a line never. Lines
//! that the kernel took from here and a collector that ended did not read are lost uncounted. Called by `Delivery`.

use std::{
    io::{self, ErrorKind, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sg_model::text::escaped;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::{
    backlog::Backlog,
    counters::{Counters, Why},
    interface::Sink,
};
use crate::{format::Format, record::Record};

/// How long a collector that does not accept the connection, or does not read, holds up the thread.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct UnixSink {
    backlog: Backlog,
    connection: Connection,
}

struct Connection {
    path: PathBuf,
    stream: Option<UnixStream>,
    /// Whether the last attempt failed: the next one is on `retry`.
    failed: bool,
}

impl UnixSink {
    pub(super) fn new(path: &Path, format: Format, counters: Arc<Counters>) -> Self {
        let connection = Connection { path: path.to_owned(), stream: None, failed: false };
        Self { backlog: Backlog::new(format, counters, Why::Collector), connection }
    }
}

impl Connection {
    fn drain(&mut self, backlog: &mut Backlog) {
        if self.failed {
            return;
        }
        while backlog.first().is_some() {
            if let Err(error) = self.write_first(backlog) {
                self.failed = true;
                let doing = if self.stream.is_some() { "write to" } else { "connect to" };
                backlog.counters().fails(Some(format!(
                    "cannot {doing} {}: {error}",
                    escaped(&self.path.to_string_lossy())
                )));
                return;
            }
        }
        backlog.counters().fails(None);
    }

    fn write_first(&mut self, backlog: &mut Backlog) -> io::Result<()> {
        if self.stream.as_ref().is_none_or(has_closed) {
            // What is left of a line that the earlier connection got a part of is useless to this one.
            if let Some(chunk) = backlog.first() {
                let written = chunk.bytes.get(..chunk.written).unwrap_or_default();
                chunk.written = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            }
            self.stream = None;
            self.stream = Some(connect(&self.path)?);
        }
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::NotConnected.into()) };
        while let Some(chunk) = backlog.first() {
            let left = chunk.bytes.get(chunk.written..).unwrap_or_default();
            if left.is_empty() {
                backlog.remove_first();
                return Ok(());
            }
            match stream.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => chunk.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It reads too slowly, and may go on.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(io::Error::new(ErrorKind::TimedOut, "the collector does not read"));
                }
                Err(error) => {
                    self.stream = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Connects. `UnixStream::connect` would wait for ever where a collector listens and accepts nothing.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Of a unix socket, the kernel takes this for connecting, too.
    socket.set_write_timeout(Some(PATIENCE))?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(ErrorKind::TimedOut, "the collector does not accept connections"))
        }
        connected => connected.map(|()| socket.into()),
    }
}

/// Whether the other end has closed the connection. It never writes.
pub(super) fn has_closed<'a>(stream: impl Into<SockRef<'a>>) -> bool {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
    let stream: SockRef<'a> = stream.into();
    loop {
        match stream.recv_with_flags(&mut buffer, libc::MSG_DONTWAIT) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

impl Sink for UnixSink {
    fn deliver(&mut self, records: &[Arc<Record>]) {
        let Self { backlog, connection } = self;
        backlog.add(records, |backlog| connection.drain(backlog));
    }

    fn no_data(&mut self, interval: &Record) {
        self.backlog.add_no_data(interval);
    }

    fn tell_loss(&mut self, records: u64) {
        self.backlog.tell_loss(records, Why::QueueFull);
    }

    fn retry(&mut self) {
        self.backlog.write_losses();
        self.connection.failed = false;
        self.connection.drain(&mut self.backlog);
    }

    fn finish(&mut self) {
        self.retry();
        self.backlog.finish();
    }
}
