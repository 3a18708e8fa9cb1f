//! Attaches the program to devices: by TCX links if the kernel has them, else by filters of a clsact qdisc, and on the receive
//! side by an XDP link if the policy asks for it.
//!
//! It must never touch another program: a link belongs to us alone, and so do the filters of `clsact`. Called by `datapath`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, SchedClassifier, Xdp,
        links::{FdLink, LinkError, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions, TcHandle},
    },
    util::KernelVersion,
};

use super::{
    KernelError, clsact,
    device::{Attached, Device, attach_error, hook},
    object::{Program, program_of},
    order::TcxOrder,
    pins, xdp,
};

/// How programs are attached at tc. XDP is configured per NIC instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// TCX if the kernel has it (6.6), else clsact.
    #[default]
    Auto,
    /// TCX links.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl Attachment {
    /// Resolves `Auto` for this kernel.
    ///
    /// # Errors
    /// If TCX is requested and the kernel is older than 6.6.
    pub fn resolve(self) -> Result<Self, KernelError> {
        let has_tcx = KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0));
        match self {
            Self::Auto => Ok(if has_tcx { Self::Tcx } else { Self::Clsact }),
            Self::Tcx if !has_tcx => Err(KernelError::Unsupported {
                feature: "a TCX link",
                minimum: "6.6",
                hint: ": leave --attach at auto, or use clsact",
            }),
            given => Ok(given),
        }
    }
}

/// What is attached, and where it is pinned.
#[derive(Debug)]
pub(super) struct Links {
    attachment: Attachment,
    order: Option<TcxOrder>,
    pins: Option<PathBuf>,
    /// The handle of our filters.
    handle: TcHandle,
    /// Links that end with this process, because nothing is pinned.
    held: HashMap<(Program, u32), FdLink>,
}

impl Links {
    pub(super) fn new(
        attachment: Attachment,
        order: Option<TcxOrder>,
        pins: Option<PathBuf>,
    ) -> Result<Self, KernelError> {
        let handle = clsact::handle(pins.as_deref());
        Ok(Self { attachment: attachment.resolve()?, order, pins, handle, held: HashMap::new() })
    }

    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        program: Program,
        device: &Device,
    ) -> Result<Attached, KernelError> {
        if program == Program::Xdp {
            return self.add_xdp(program_of(ebpf, program)?, device);
        }
        let classifier = program_of(ebpf, program)?;
        match self.attachment {
            Attachment::Clsact => {
                let attached = clsact::add(classifier, program, device, self.handle)?;
                self.drop_link(program, device)?;
                Ok(attached)
            }
            Attachment::Tcx | Attachment::Auto => {
                let attached = self.add_link(classifier, program, device)?;
                clsact::remove(program, device, self.handle)?;
                Ok(attached)
            }
        }
    }

    pub(super) fn detach(&mut self, program: Program, device: &Device) -> Result<(), KernelError> {
        self.drop_link(program, device)?;
        if program == Program::Xdp { Ok(()) } else { clsact::remove(program, device, self.handle) }
    }

    fn pin(&self, program: Program, device: &Device) -> Option<PathBuf> {
        self.pins.as_ref().map(|directory| directory.join(pins::link_name(program, device.index)))
    }

    fn add_link(
        &mut self,
        classifier: &mut SchedClassifier,
        program: Program,
        device: &Device,
    ) -> Result<Attached, KernelError> {
        let is_misplaced = match self.pin(program, device) {
            Some(path) => {
                finish_move(&path)?;
                self.is_misplaced(program, device, &path)
            }
            None => false,
        };
        let replaced = !is_misplaced
            && self.replace_pinned(program, device, |link| {
                let link =
                    SchedClassifierLink::try_from(link).map_err(|error: LinkError| error.to_string())?;
                let id = classifier.attach_to_link(link).map_err(|error| error.to_string())?;
                classifier.take_link(id).map(drop).map_err(|error| error.to_string())
            });
        if replaced {
            return Ok(Attached::Replaced);
        }
        let place = self.order.map_or_else(LinkOrder::default, TcxOrder::place);
        let id = classifier
            .attach_with_options(&device.name, hook(program), TcAttachOptions::TcxOrder(place))
            .map_err(|error| attach_error(device, error))?;
        let link = classifier
            .take_link(id)
            .map_err(KernelError::call("take over a link"))?
            .try_into()
            .map_err(KernelError::call("take over a link"))?;
        if is_misplaced && let Some(path) = self.pin(program, device) {
            // The position of a link is fixed: a new link is made, and then the old one ends. Until then both judge packets.
            Self::pin_at(link, &moving(&path))?;
            finish_move(&path)?;
            return Ok(Attached::Replaced);
        }
        self.keep(program, device, link)
    }

    fn add_xdp(&mut self, program: &mut Xdp, device: &Device) -> Result<Attached, KernelError> {
        if self.replace_pinned(Program::Xdp, device, |link| xdp::replace(program, link)) {
            return Ok(Attached::Replaced);
        }
        // A device takes one XDP program, and it is this one.
        if self.held.contains_key(&(Program::Xdp, device.index)) {
            return Ok(Attached::Replaced);
        }
        let link = xdp::add(program, device)?;
        self.keep(Program::Xdp, device, link)
    }

    /// Pins a link so that it outlives this process, if links are pinned.
    fn keep(&mut self, program: Program, device: &Device, link: FdLink) -> Result<Attached, KernelError> {
        match self.pin(program, device) {
            // From here on the pin holds the link; our own descriptor closes, so removing the pin detaches.
            Some(path) => Self::pin_at(link, &path)?,
            None => drop(self.held.insert((program, device.index), link)),
        }
        Ok(Attached::New)
    }

    fn pin_at(link: FdLink, path: &Path) -> Result<(), KernelError> {
        link.pin(path).map(drop).map_err(KernelError::call(format_args!("pin a link at {}", path.display())))
    }

    /// Whether the link pinned at `path` runs at another position than the configured one.
    fn is_misplaced(&self, program: Program, device: &Device, path: &Path) -> bool {
        let Some(order) = self.order else { return false };
        let Ok(pinned) = PinnedLink::from_pin(path) else { return false };
        let Ok(info) = FdLink::from(pinned).info() else { return false };
        !order.holds(device, hook(program), info.program_id())
    }

    /// Puts the program into the link that an earlier run pinned, atomically, by `update`, which closes only its own descriptor:
    /// the pin holds the link. Returns false if there is no link, or if it belongs to a device that is gone: its pin is then
    /// removed.
    fn replace_pinned(
        &self,
        program: Program,
        device: &Device,
        update: impl FnOnce(FdLink) -> Result<(), String>,
    ) -> bool {
        let Some(path) = self.pin(program, device) else { return false };
        let Ok(pinned) = PinnedLink::from_pin(&path) else { return false };
        let Err(error) = update(FdLink::from(pinned)) else { return true };
        forget(&path, &error);
        false
    }

    fn drop_link(&mut self, program: Program, device: &Device) -> Result<(), KernelError> {
        self.held.remove(&(program, device.index));
        match self.pin(program, device) {
            Some(path) => finish_move(&path).and_then(|()| pins::remove_link(&path)),
            None => Ok(()),
        }
    }
}

/// Where the link that replaces the one at `path` is pinned meanwhile.
fn moving(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-moving");
    name.into()
}

/// Moves a replacement link to its final pin, also if an earlier run was interrupted before that. It already judges packets.
fn finish_move(path: &Path) -> Result<(), KernelError> {
    pins::move_link(&moving(path), path)
}

fn forget(path: &Path, why: &str) {
    tracing::debug!("{}: not the link of this device any more: {why}", path.display());
    if let Err(error) = pins::remove_link(path) {
        tracing::warn!("{error}");
    }
}
