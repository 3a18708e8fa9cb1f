//! A kernel that only records the calls, and refuses those that a test names.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
    sync::{Arc, Mutex},
    time::Duration,
};

use sg_common::image::Header;
use sg_compile::Image;
use sg_kernel::{Denial, Device, FlowReport, Jiffies};
use sg_model::Hook;

use crate::apply::enforcer::{Enforcer, EnforcerError, Settle, Settled};

/// The recorded calls, and the ones that fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) refuses: Arc<Mutex<BTreeSet<String>>>,
    /// What flows have to report.
    pub(super) reports: Arc<Mutex<Vec<FlowReport>>>,
    /// The deadline of the pending change has passed.
    pub(crate) is_over: Arc<Mutex<bool>>,
    /// The change that was pending last is confirmed.
    is_confirmed: Arc<Mutex<bool>>,
    /// The images in force, and those of the candidate, by slot.
    pub(super) images: Arc<Mutex<[BTreeMap<u16, Image>; 2]>>,
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
    fn attach_too(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        let by = if hook == Hook::Xdp { "xdp" } else { "tc" };
        self.ask(format!("attach {slot} {} by {by}, too", device.index))
    }
    fn keep(&mut self, slots: &[u16], others: &[(u16, Image)]) -> Result<(), EnforcerError> {
        let unfiltered = |image: &Image| image.words()[0] == Header::unfiltered();
        let others =
            others.iter().map(|(slot, image)| (slot, if unfiltered(image) { "nothing" } else { "it" }));
        self.ask(format!("keep {slots:?} {:?}", others.collect::<Vec<_>>()))
    }
    fn begin(&mut self, last_id: u32, seconds: u32) -> Result<u32, EnforcerError> {
        self.ask(format!("begin {} for {seconds}", last_id + 1))?;
        (*self.is_over.lock().unwrap(), *self.is_confirmed.lock().unwrap()) = (false, false);
        Ok(last_id + 1)
    }
    fn settle(&mut self, id: u32, how: Settle) -> Result<Settled, EnforcerError> {
        self.ask(format!("settle {id} {how:?}"))?;
        let (mut is_over, mut is_confirmed) =
            (self.is_over.lock().unwrap(), self.is_confirmed.lock().unwrap());
        *is_confirmed |= how == Settle::Confirm && !*is_over;
        *is_over |= how == Settle::Cancel && !*is_confirmed;
        Ok(match how {
            _ if *is_confirmed => Settled::Confirmed,
            _ if *is_over => Settled::Over,
            Settle::Look | Settle::Confirm | Settle::Cancel => {
                Settled::Pending { left: Duration::from_mins(1) }
            }
            Settle::Extend { seconds } => Settled::Pending { left: Duration::from_secs(seconds.into()) },
        })
    }
    fn forget_kept(&mut self) -> Result<(), EnforcerError> {
        self.ask("forget what was kept".to_owned())
    }
    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError> {
        self.ask(format!("detach {slot} {}", device.index))
    }
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        let published = images.iter().map(|(slot, image)| {
            self.ask(format!("publish {slot}"))?;
            self.images.lock().unwrap()[0].insert(*slot, (*image).clone());
            Ok(())
        });
        published.collect()
    }
    fn set_candidate(&mut self, images: &[(u16, &Image)]) -> Result<(), EnforcerError> {
        let images: BTreeMap<u16, Image> =
            images.iter().map(|&(slot, image)| (slot, image.clone())).collect();
        let asked = self.ask(format!("candidate of {:?}", images.keys().collect::<Vec<_>>()));
        self.images.lock().unwrap()[1] = if asked.is_ok() { images } else { BTreeMap::new() };
        asked
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
