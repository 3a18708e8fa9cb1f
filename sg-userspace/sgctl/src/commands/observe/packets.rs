//! Packets into a pcapng file, with verdict and rule as comments. It must never show a record. `mod.rs` calls it.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use sg_common::event::CAPTURE;
use sg_observe::{
    pcapng::{ETHERNET, Packet, RAW_IP, Writer},
    record::{Frame, Record},
};

use crate::{
    args::Format,
    failure::Failure,
    file,
    render::{Output, count},
};

/// The path that stands for standard output.
const STDOUT: &str = "-";

/// Refuses what packets cannot be written to, or as. It touches no file.
pub(super) fn check(path: &Path, output: &Output<'_>) -> Result<(), Failure> {
    if output.format != Format::Table {
        return Err(Failure::input(anyhow!(
            "--write is for pcapng and nothing else: leave --json and --output out, or --write"
        )));
    }
    if path == Path::new(STDOUT) && io::stdout().is_terminal() && output.watched {
        return Err(Failure::input(anyhow!("--write -: a terminal cannot show packets: name a file")));
    }
    Ok(())
}

/// Where packets go.
enum To {
    File(Writer<BufWriter<File>>, PathBuf),
    /// Standard output; the file is written into memory first.
    Output(Writer<Vec<u8>>),
}

/// A file that is being written.
pub(super) struct PacketFile {
    to: To,
    packets: usize,
}

impl PacketFile {
    /// Begins the file, which only its owner can read.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let snap_length = u32::try_from(CAPTURE).unwrap_or(u32::MAX);
        if path == Path::new(STDOUT) {
            let writer = Writer::new(Vec::new(), snap_length)?;
            return Ok(Self { to: To::Output(writer), packets: 0 });
        }
        let writer = Writer::new(BufWriter::new(file::begin(path)?), snap_length);
        let writer = writer.map_err(|error| failed(path, error))?;
        Ok(Self { to: To::File(writer, path.to_owned()), packets: 0 })
    }

    /// Writes the packet of a record, if it has one.
    pub(super) fn write(&mut self, record: &Record, _: &mut Output<'_>) -> Result<(), Failure> {
        let Some(Frame { length, ethernet, bytes }) = &record.frame else { return Ok(()) };
        let link = if *ethernet { ETHERNET } else { RAW_IP };
        let packet = Packet { link, time: record.end, bytes, length: *length, record };
        self.packets += 1;
        match &mut self.to {
            To::File(writer, path) => writer.write(&packet).map_err(|error| failed(path, error)),
            To::Output(writer) => Ok(writer.write(&packet)?),
        }
    }

    /// Hands what was written to whoever reads the file.
    pub(super) fn flush(&mut self, output: &mut Output<'_>) -> Result<(), Failure> {
        match &mut self.to {
            To::File(writer, path) => writer.flush().map_err(|error| failed(path, error)),
            To::Output(writer) => {
                let written = std::mem::take(writer.get_mut());
                output.out.write_all(&written)?;
                Ok(output.out.flush()?)
            }
        }
    }

    /// Says what the file has.
    pub(super) fn end(&self, output: &Output<'_>) {
        if let To::File(_, path) = &self.to {
            output.remark(&format!("{} in {}", count(self.packets, "packet"), path.display()));
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::Other(anyhow!(error).context(format!("cannot write {}", path.display())))
}
