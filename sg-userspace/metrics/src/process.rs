//! The process itself, from `/proc/self`, as other exporters of Prometheus show it. What cannot be read is left out. Called by
//! `sample`.

use std::time::Duration;

use procfs::{
    ProcResult, WithCurrentSystemInfo as _, boot_time_secs, process::LimitValue, process::Process as Found,
    ticks_per_second,
};

/// Figures of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Processor time.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    /// Since the epoch.
    pub(crate) started: Duration,
    /// Open descriptors, and how many may be open; `None`: no limit.
    pub(crate) open: u64,
    pub(crate) most_open: Option<u64>,
}

impl Process {
    /// Of this one.
    pub(crate) fn of_self() -> Option<Self> {
        read().inspect_err(|error| tracing::debug!("/proc/self cannot be read: {error}")).ok()
    }
}

fn read() -> ProcResult<Process> {
    let this = Found::myself()?;
    let stat = this.stat()?;
    let per_second = ticks_per_second().max(1);
    let ticks = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1_000) / per_second);
    let most_open = match this.limits()?.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most),
        LimitValue::Unlimited => None,
    };
    Ok(Process {
        cpu: ticks(stat.utime + stat.stime),
        resident_bytes: stat.rss_bytes().get(),
        virtual_bytes: stat.vsize,
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        started: Duration::from_secs(boot_time_secs()?) + ticks(stat.starttime),
        open: this.fd_count()? as u64,
        most_open,
    })
}
