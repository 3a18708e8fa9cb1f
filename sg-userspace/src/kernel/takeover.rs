//! What those before left in force that is not of this layout, or cannot be continued: its hooks are handed over one by
//! one, and what nobody needs any more is removed. It must never take a program off a device that is to be filtered
//! before the present one is there. Called by `datapath`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use aya::maps::{MapData, PerCpuArray};
use nix::net::if_::if_nameindex;
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

/// The pins of those before.
#[derive(Debug)]
pub(super) struct Older {
    directories: Vec<PathBuf>,
    /// Slots that have changed their owner since: the flows that have them there are another NIC's.
    forgotten: BTreeSet<u16>,
    /// Flows were carried over before, and what there is to say about it was said.
    carried: bool,
}

impl Older {
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, forgotten: BTreeSet::new(), carried: false }
    }

    /// Leaves the flows of NIC `slot` behind.
    pub(super) fn forget(&mut self, slot: u16) {
        self.forgotten.insert(slot);
    }

    /// Copies counts into a table that counted nothing yet. What the older program counts from now on is left behind.
    pub(super) fn carry_counters(&self, counters: &mut PerCpuArray<MapData, Counter>) {
        for (version, directory) in self.continued().filter(|&(version, _)| layouts::counters_go_on(version))
        {
            match pins::Counters::open(directory).and_then(|old| old.carry(counters)) {
                Ok(carried) => log::info!("{carried} counters of layout {version} go on"),
                // No reason to stay behind.
                Err(error) => log::warn!("counts of layout {version} are not carried over: {error}"),
            }
        }
    }

    /// Copies flows that `flows` does not hold yet. To be called before the program is attached, and when it is: for
    /// what was opened meanwhile.
    pub(super) fn carry_flows(&mut self, flows: &mut Flows, places: &mut Places) {
        let mut carry = |flows: &mut Flows, version, directory: &Path| {
            layouts::flows_go_on(version).map_err(|why| format!("layout {version} {why}"))?;
            // Opened anew each time, which checks the sizes of keys and entries, too.
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
                // No reason to stay behind.
                Err(why) if !self.carried => log::warn!(
                    "flows are not carried over: {why}. What is open meets the rules with its next packet"
                ),
                Err(why) => log::debug!("flows are not carried over: {why}"),
            }
        }
        self.carried = true;
    }

    /// Hands the links of `device` over to the directory `own`, where the present program takes them.
    pub(super) fn hand_over(&self, own: &Path, device: &Device) -> Result<(), KernelError> {
        for (name, path) in self.links(device)? {
            let new = own.join(name);
            if new.exists() {
                pins::remove_link(&path)?;
            } else {
                // Within bpffs, and the link does not notice.
                let failed = |source| KernelError::Path { doing: "move pin", path: path.clone(), source };
                fs::rename(&path, new).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Takes the older programs off `device`: links, and the filters that later layouts call otherwise.
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

    /// Takes the older programs off every device but `hooked`, where the present one is, and removes their pins.
    pub(super) fn remove(&self, own: &Path, hooked: &[Device]) -> Result<(), KernelError> {
        let devices = if_nameindex().map_err(KernelError::call("list the devices"))?;
        for interface in &devices {
            let name = interface.name().to_string_lossy().into_owned();
            let device = Device { name, index: interface.index() };
            if hooked.iter().all(|hooked| hooked.index != device.index) {
                pins::remove_filters(own, &device)?;
            }
        }
        self.directories.iter().try_for_each(|directory| pins::remove(directory, &[]))
    }

    /// Pins of links of `device`, with their names.
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

    /// Those whose numbers are those of the catalog, with their layout.
    fn continued(&self) -> impl Iterator<Item = (u32, &PathBuf)> {
        self.directories.iter().filter_map(|directory| Some((pins::layout_of(directory)?, directory)))
    }
}

/// Words about flows that found no room.
fn left(count: usize) -> String {
    if count == 0 { String::new() } else { format!("; {count} are left behind: the table is full") }
}
