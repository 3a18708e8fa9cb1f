//! A kernel that only records the calls, and refuses those that a test names.

use std::{
    collections::BTreeSet,
    mem::take,
    sync::{Arc, Mutex},
};

use sg_compile::Image;
use sg_kernel::{Denial, Device, FlowReport, Jiffies};
use sg_model::Hook;

use crate::apply::enforcer::{Enforcer, EnforcerError};

/// The recorded calls, and the ones that fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) refuses: Arc<Mutex<BTreeSet<String>>>,
    /// What flows have to report.
    pub(super) reports: Arc<Mutex<Vec<FlowReport>>>,
    /// Something of earlier layouts is left.
    pub(super) has_older: Arc<Mutex<bool>>,
}

impl Fake {
    fn ask(&self, what: String) -> Result<(), EnforcerError> {
        let refused = self.refuses.lock().unwrap().contains(&what);
        self.asked.lock().unwrap().push(what);
        if refused { Err("refused by the test".into()) } else { Ok(()) }
    }

    /// The calls since the last query.
    pub(crate) fn asked(&self) -> Vec<String> {
        take(&mut *self.asked.lock().unwrap())
    }
}

impl Enforcer for Fake {
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        match hook {
            Hook::Tc => self.ask(format!("attach {slot} {}", device.index)),
            Hook::Xdp => self.ask(format!("attach {slot} {} by xdp", device.index)),
        }
    }
    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError> {
        self.ask(format!("detach {slot} {}", device.index))
    }
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        images.iter().map(|(slot, _)| self.ask(format!("publish {slot}"))).collect()
    }
    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError> {
        self.ask(format!("withdraw {slot}"))
    }
    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError> {
        self.ask(format!("reset {}", numbers.len()))
    }
    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError> {
        self.ask(format!("forget {slot}"))
    }
    fn collect_denied(&mut self) -> Result<(Jiffies, Vec<Denial>), EnforcerError> {
        self.ask("collect".to_owned())?;
        Ok((Jiffies { now: 7, hertz: 250 }, Vec::new()))
    }
    fn take_reports(&mut self) -> Vec<FlowReport> {
        take(&mut *self.reports.lock().unwrap())
    }
    fn remove_older(&mut self, hooked: &[Device]) -> Result<(), EnforcerError> {
        let indices = hooked.iter().map(|device| device.index.to_string());
        if !*self.has_older.lock().unwrap() {
            return Ok(());
        }
        self.ask(format!("remove older but {}", indices.collect::<Vec<_>>().join(" ")))?;
        *self.has_older.lock().unwrap() = false;
        Ok(())
    }
}
