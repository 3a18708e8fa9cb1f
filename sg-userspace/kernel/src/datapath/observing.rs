//! What the program counts and tells: packets that do not pass, flows, single events. It must never change what is enforced. The agent
//! calls it, and tests.

use std::path::Path;

use super::{
    super::{
        Jiffies, KernelError,
        denied::Denial,
        flow_log::{FlowLog, FlowReport},
        reported::Acknowledge,
        watch::{Events, Watcher},
    },
    Datapath,
};

/// How long the name of packets that do not pass is out of use before it is removed, in seconds.
const DENIED_IDLE_SECONDS: u64 = 60;

impl Datapath {
    /// Reports the packets that did not pass since the last call, by who sent what to whom, and removes names that are out of use.
    /// It takes a millisecond or less; if names are removed, also two system calls for each and an RCU grace period. Returns when
    /// that was, and whether the kernel refused to remove a name: everything was reported all the same.
    ///
    /// # Errors
    /// If the kernel's clock cannot be read; nothing was reported.
    pub fn collect_denied(
        &mut self,
        report: impl FnMut(Denial),
    ) -> Result<(Jiffies, Result<(), KernelError>), KernelError> {
        self.collect_denied_idle(DENIED_IDLE_SECONDS, report)
    }

    /// The same, with names that have been out of use for this many seconds removed: for tests.
    ///
    /// # Errors
    /// As there.
    pub fn collect_denied_idle(
        &mut self,
        idle_seconds: u64,
        report: impl FnMut(Denial),
    ) -> Result<(Jiffies, Result<(), KernelError>), KernelError> {
        let at = self.jiffies()?;
        let Self { denied, flow_log, .. } = self;
        let taking = || {
            if let Some(log) = &*flow_log {
                log.take_other();
            }
        };
        Ok((at, denied.collect(at, idle_seconds, &taking, report)))
    }

    /// Begins to report what flows have carried, see [`Self::age_some`]: continues the log in the file `path`. Also returns how
    /// many reports an earlier process took and did not acknowledge.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn log_flows(&mut self, path: &Path) -> Result<u64, KernelError> {
        let Some(replaced) = self.replaced.take() else { return Ok(0) };
        let (log, lost) = FlowLog::open(path, replaced)?;
        self.flow_log = Some(log);
        Ok(lost)
    }

    /// Acknowledges reports of flows; `None` without a flow log.
    #[must_use]
    pub fn acknowledge(&self) -> Option<Acknowledge> {
        self.flow_log.as_ref().map(FlowLog::acknowledge)
    }

    /// The reports of flows that were deleted since the last call, and since [`Self::age_some`].
    pub fn take_reports(&mut self) -> Vec<FlowReport> {
        self.flow_log.as_mut().map(FlowLog::take_reports).unwrap_or_default()
    }

    /// Makes the next pass of [`Self::age_some`] report live flows, too.
    pub fn report_live_flows(&mut self) {
        if let Some(log) = &mut self.flow_log {
            log.report_live();
        }
    }

    /// Tells the program what somebody wants to see.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// The ring of single events. It has one reader at a time.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn events(&self) -> Result<Events, KernelError> {
        Events::of(&self.events)
    }
}
