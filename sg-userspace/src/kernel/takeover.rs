//! Takeover of programs and maps that an earlier layout left attached, or that cannot be continued: their hooks are handed over
//! one by one, and what is no longer needed is removed. It must never detach a program from a device that is to be filtered
//! before the current one is attached. Called by `datapath`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use aya::maps::{MapData, PerCpuArray};
use sg_common::abi::Counter;

use super::{
    Device, KernelError, Program,
    attach::{HANDLE_OF_ALL, remove_filter},
    flows::Flows,
    layouts, pins,
    shares::Places,
};

/// The last layout whose filters of a clsact qdisc have [`HANDLE_OF_ALL`].
const LAST_WITHOUT_HANDLES: u32 = 2;

/// The pins of earlier layouts.
#[derive(Debug)]
pub(super) struct Older {
    directories: Vec<PathBuf>,
    /// Slots that have changed their owner since: flows of these slots belong to another NIC.
    forgotten: BTreeSet<u16>,
    /// Whether flows were carried over before, and what there was to log about it was logged.
    carried: bool,
}

impl Older {
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, forgotten: BTreeSet::new(), carried: false }
    }

    /// Excludes the flows of NIC `slot` from being carried over.
    pub(super) fn forget(&mut self, slot: u16) {
        self.forgotten.insert(slot);
    }

    /// Copies counts into a table that has counted nothing yet. What the older program counts from now on is lost.
    pub(super) fn carry_counters(&self, counters: &mut PerCpuArray<MapData, Counter>) {
        for (version, directory) in self.continued().filter(|&(version, _)| layouts::counters_go_on(version))
        {
            match pins::Counters::open(directory).and_then(|old| old.carry(counters)) {
                Ok(carried) => log::info!("{carried} counters of layout {version} go on"),
                // No reason to keep the old layout.
                Err(error) => log::warn!("counts of layout {version} are not carried over: {error}"),
            }
        }
    }

    /// Copies flows that `flows` does not hold yet. Call it before the program is attached, and again once it is, for flows
    /// opened in between.
    pub(super) fn carry_flows(&mut self, flows: &mut Flows, places: &mut Places) {
        let mut carry = |flows: &mut Flows, version, directory: &Path| {
            layouts::flows_go_on(version).map_err(|why| format!("layout {version} {why}"))?;
            // Opened anew each time, which also checks the sizes of keys and entries.
            let old = Flows::open(directory).map_err(|error| error.to_string())?;
            let carried = flows
                .carry(&old, |key| !self.forgotten.contains(&key.l4.nic()))
                .map_err(|error| error.to_string())?;
            places.enter(&carried.half_open).map_err(|error| error.to_string())?;
            Ok::<_, String>(carried)
        };
        for (version, directory) in self.continued() {
            match carry(flows, version, directory) {
                Ok(carried) => {
                    log::info!("{} flows of layout {version} go on{}", carried.entered, left(carried.left));
                }
                // No reason to keep the old layout.
                Err(why) if !self.carried => log::warn!(
                    "flows are not carried over: {why}. What is open meets the rules with its next packet"
                ),
                Err(why) => log::debug!("flows are not carried over: {why}"),
            }
        }
        self.carried = true;
    }

    /// Moves the links of `device` to the directory `own`, where the current program takes them over.
    pub(super) fn hand_over(&self, own: &Path, device: &Device) -> Result<(), KernelError> {
        for (name, path) in self.links(device)? {
            let new = own.join(name);
            if new.exists() {
                pins::remove_link(&path)?;
            } else {
                // Within bpffs, and without effect on the link.
                let failed = |source| KernelError::Path { doing: "move pin", path: path.clone(), source };
                fs::rename(&path, new).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Detaches the older programs from `device`: links, and filters whose handles differ in later layouts.
    pub(super) fn take_off(&self, device: &Device) -> Result<(), KernelError> {
        for (_, path) in self.links(device)? {
            pins::remove_link(&path)?;
        }
        if self.continued().any(|(version, _)| version <= LAST_WITHOUT_HANDLES) {
            for program in [Program::Ingress, Program::Egress] {
                remove_filter(program, device, HANDLE_OF_ALL)?;
            }
        }
        Ok(())
    }

    /// Detaches the older programs from every device except `hooked`, where the current one is attached, and removes their pins.
    pub(super) fn remove(&self, own: &Path, hooked: &[Device]) -> Result<(), KernelError> {
        for device in Device::all().map_err(KernelError::call("list the devices"))? {
            if hooked.iter().all(|hooked| hooked.index != device.index) {
                pins::remove_filters(own, &device)?;
            }
        }
        self.directories.iter().try_for_each(|directory| pins::remove(directory, &[]))
    }

    /// The pinned links of `device`, with their names.
    fn links(&self, device: &Device) -> Result<Vec<(String, PathBuf)>, KernelError> {
        let beginning = pins::link_names(device.index);
        let mut found = Vec::new();
        for directory in &self.directories {
            let paths = pins::list(directory)?.into_iter();
            let named =
                paths.map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into(), path));
            found.extend(named.filter(|(name, _): &(String, _)| name.starts_with(&beginning)));
        }
        Ok(found)
    }

    /// The directories whose numbers are those of the catalog, with their layouts.
    fn continued(&self) -> impl Iterator<Item = (u32, &PathBuf)> {
        self.directories.iter().filter_map(|directory| Some((pins::layout_of(directory)?, directory)))
    }
}

/// Describes flows that found no room.
fn left(count: usize) -> String {
    if count == 0 { String::new() } else { format!("; {count} are left behind: the table is full") }
}
