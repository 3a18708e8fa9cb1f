//! The flow log on a disk that is full: nobody waits, memory is bounded, and every record is written or counted.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::mount::{MsFlags, mount, umount};
use sg_observe::{
    options::FlowLogOptions,
    record::{Event, Record},
    sink::{Counted, Sinks, Target},
};
use sg_tests::lab::{Lab, until};
use tempfile::TempDir;

use super::samples::samples;
use crate::support::suite::Suite;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_full_disk_loses_counted_records_only", a_full_disk_loses_counted_records_only);
}

fn a_full_disk_loses_counted_records_only(_: Lab) -> Result<()> {
    let folder = TempDir::new()?;
    let disk = folder.path();
    mount(Some("none"), disk, Some("tmpfs"), MsFlags::empty(), Some("size=64m"))?;
    let done = fill_and_free(&disk.join("flows"), &disk.join("other"));
    umount(disk)?;
    done
}

fn fill_and_free(path: &std::path::Path, other: &std::path::Path) -> Result<()> {
    fs::write(other, vec![0; 63 << 20])?;
    let target = Target::File(path.to_owned());
    let sinks = Sinks::start(&FlowLogOptions { sinks: vec![target], ..FlowLogOptions::default() }, 7)?;
    let record = Arc::new(samples().swap_remove(0));
    let batch: Arc<[_]> = std::iter::repeat_n(record, 4096).collect();
    let counted = || sinks.counted().pop();
    let gone = |counted: &Counted| counted.lost.iter().map(|lost| lost.records).sum::<u64>();
    let (mut offered, mut slowest) = (0, Duration::ZERO);
    // About 40 MB of lines: the disk has room for 1, the backlog for 16, the queue for as many records as 25.
    for _ in 0..24 {
        let begin = Instant::now();
        sinks.offer(&batch, None);
        slowest = slowest.max(begin.elapsed());
        offered += batch.len() as u64;
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(slowest < Duration::from_millis(100), "offering took {slowest:?}");
    until("records are lost and the cause is told", || {
        let counted = counted();
        Ok(counted.is_some_and(|counted| {
            gone(&counted) > 0 && counted.error.is_some_and(|error| error.contains("No space"))
        }))
    })?;
    fs::remove_file(other)?;
    until("the rest is written", || {
        Ok(counted().is_some_and(|counted| counted.records + gone(&counted) == offered))
    })?;
    // Says what was lost before.
    sinks.offer(&batch, None);
    offered += batch.len() as u64;
    until("what comes then is written, too", || {
        Ok(counted()
            .is_some_and(|counted| counted.records + gone(&counted) == offered && counted.error.is_none()))
    })?;
    let text = fs::read_to_string(path)?;
    let records = text.lines().map(serde_json::from_str).collect::<Result<Vec<Record>, _>>()?;
    let (told, written): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.event == Event::Lost);
    let lost = counted().map_or(0, |counted| gone(&counted));
    ensure!(
        written.len() as u64 + lost == offered,
        "{} written, {lost} lost, {offered} offered",
        written.len()
    );
    ensure!(
        told.iter().filter_map(|record| record.count).sum::<u64>() == lost,
        "the file does not say it: {told:?}"
    );
    Ok(())
}
