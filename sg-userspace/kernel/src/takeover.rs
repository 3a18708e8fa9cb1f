//! Takeover of programs and maps that an earlier layout left attached, or that cannot be continued: their hooks are handed over
//! one by one, and what is no longer needed is removed. It must never detach a program from a device that is to be filtered
//! before the current one is attached. Called by `datapath`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use sg_common::{
    abi::VERSION,
    flow::{FlowEntry, FlowKey},
};

use super::{KernelError, counters::Counters, device::Device, flows::Flows, pins, shares::Places};

/// An earlier layout whose counters and their numbers mean the same in this one.
struct Earlier {
    version: u32,
    /// Whether its flows do, too: keys and entries of a table that both have are equal, byte for byte. If not, the end of a
    /// sentence that begins with the layout.
    flows: Result<(), &'static str>,
}

/// The layouts before this one. The first is 1; no program ever wrote layout 0, which tests make of layout 1 by its number.
const EARLIER: [Earlier; 1] = [Earlier { version: 0, flows: Ok(()) }];

const _: () = {
    assert!(
        EARLIER[EARLIER.len() - 1].version + 1 == VERSION,
        "the layout before this one has no line in EARLIER"
    );
    // If this fails, no earlier layout has the same flows.
    assert!(size_of::<FlowKey>() == 48 && size_of::<FlowEntry>() == 80);
};

/// Whether the counters of layout `version` mean the same in this one.
fn counters_go_on(version: u32) -> bool {
    EARLIER.iter().any(|earlier| earlier.version == version)
}

/// Whether the flows of layout `version` mean the same in this one.
fn flows_go_on(version: u32) -> Result<(), &'static str> {
    let known = EARLIER.iter().find(|earlier| earlier.version == version);
    known.map_or(Err("is not known to this version"), |earlier| earlier.flows)
}

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
    pub(super) fn carry_counters(&self, counters: &mut Counters) {
        for (version, directory) in self.continued().filter(|&(version, _)| counters_go_on(version)) {
            match Counters::open(directory).and_then(|old| old.carry(counters)) {
                Ok(carried) => tracing::info!("{carried} counters of layout {version} go on"),
                // No reason to keep the old layout.
                Err(error) => tracing::warn!("counts of layout {version} are not carried over: {error}"),
            }
        }
    }

    /// Copies flows that `flows` does not hold yet. Call it before the program is attached, and again once it is, for flows
    /// opened in between.
    pub(super) fn carry_flows(&mut self, flows: &mut Flows, places: &mut Places) {
        let mut carry = |flows: &mut Flows, version, directory: &Path| {
            flows_go_on(version).map_err(|why| format!("layout {version} {why}"))?;
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
                    tracing::info!(
                        "{} flows of layout {version} go on{}",
                        carried.entered,
                        left(carried.left)
                    );
                }
                // No reason to keep the old layout.
                Err(why) if !self.carried => tracing::warn!(
                    "flows are not carried over: {why}. What is open meets the rules with its next packet"
                ),
                Err(why) => tracing::debug!("flows are not carried over: {why}"),
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

    /// Detaches the older programs from `device`. Its filters have the handles of the current ones, which replaced them.
    pub(super) fn take_off(&self, device: &Device) -> Result<(), KernelError> {
        for (_, path) in self.links(device)? {
            pins::remove_link(&path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_goes_on_only_if_it_is_known() {
        assert_eq!((flows_go_on(0), counters_go_on(0)), (Ok(()), true));
        let unknown = VERSION + 99;
        assert_eq!(flows_go_on(unknown), Err("is not known to this version"));
        assert!(!counters_go_on(unknown));
    }
}
