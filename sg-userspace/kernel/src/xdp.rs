//! Native XDP: a program in the driver, before the kernel allocates a packet buffer. If a driver refuses it, this file reports
//! which driver, why, and what to do. It must never fall back to another hook by itself: `attach` uses the one the policy names.
//! Called by `attach`.

use std::{fs, io};

use aya::programs::{
    ProgramError, Xdp, XdpError, XdpMode,
    links::{FdLink, LinkError},
    loaded_programs,
    xdp::XdpLink,
};
use netlink_packet_route::link::InfoKind;

use super::{
    KernelError,
    device::Device,
    links::{self, Link},
    sys,
};

/// Attaches the program where there is none.
pub(super) fn add(xdp: &mut Xdp, device: &Device) -> Result<FdLink, KernelError> {
    if takes_tags_off(device)? {
        return Err(KernelError::TagsTakenOff { device: device.name.clone() });
    }
    let id = xdp.attach_to_if_index(device.index, XdpMode::Driver).map_err(|error| refusal(device, error))?;
    let link = xdp.take_link(id).map_err(KernelError::call("take over a link"))?;
    // Without links (before 5.9) aya attaches in another way, and detaches again when it drops that.
    FdLink::try_from(link).map_err(|_| KernelError::Unsupported {
        feature: "an XDP link",
        minimum: "5.9",
        hint: ": write `hook: tc`",
    })
}

/// Whether the device strips VLAN tags from what it receives. A veth reports that it does but does not: a tag is missing there if
/// its peer never wrote it into the frame (the peer's `tx-vlan-offload`), whatever the setting of this end.
fn takes_tags_off(device: &Device) -> Result<bool, KernelError> {
    let failed = |source| KernelError::Path {
        doing: "ask about the VLAN tags of",
        path: device.name.clone().into(),
        source,
    };
    match sys::strips_vlan_tags(&device.name) {
        // No driver of this name, or no such call.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            Err(KernelError::NoDevice { device: device.name.clone() })
        }
        Err(error) => Err(failed(error)),
        Ok(false) => Ok(false),
        Ok(true) => Ok(links::one(device.index).map_err(failed)?.kind != Some(InfoKind::Veth)),
    }
}

/// Puts the program into an existing link, atomically.
pub(super) fn replace(xdp: &mut Xdp, link: FdLink) -> Result<(), String> {
    let link = XdpLink::try_from(link).map_err(|error: LinkError| error.to_string())?;
    let id = xdp.attach_to_link(link).map_err(|error| error.to_string())?;
    xdp.take_link(id).map(drop).map_err(|error| error.to_string())
}

fn refusal(device: &Device, error: ProgramError) -> KernelError {
    let code = match &error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    };
    let name = device.name.clone();
    let link = links::one(device.index).unwrap_or_default();
    match code {
        Some(libc::ENODEV) => KernelError::NoDevice { device: name },
        None | Some(libc::EPERM | libc::EACCES) => {
            KernelError::call(format_args!("attach XDP to {name}"))(error)
        }
        Some(libc::EBUSY | libc::EEXIST) if let Some(id) = link.program => {
            KernelError::XdpTaken { device: name, program: program_name(id) }
        }
        Some(code) => {
            KernelError::NoNativeXdp { driver: driver(&link, &name), device: name, why: why(code, link.mtu) }
        }
    }
}

/// The likely reason of the driver: the kernel withholds its message from programs attached by a link.
fn why(code: i32, mtu: Option<u32>) -> String {
    let said = io::Error::from_raw_os_error(code);
    match code {
        // No `ndo_bpf`, or disabled by a setting such as LRO.
        libc::EOPNOTSUPP => "it has no native XDP, or not with the settings of the device".to_owned(),
        libc::ERANGE | libc::EINVAL | libc::E2BIG => {
            let mtu = mtu.map_or_else(|| "the MTU".to_owned(), |mtu| format!("the MTU of {mtu}"));
            format!("{said}: perhaps {mtu} is too large, as a frame must fit into one buffer")
        }
        libc::ENOSPC | libc::ENOMEM => format!("{said}: perhaps the device has too few queues"),
        _ => said.to_string(),
    }
}

fn program_name(id: u32) -> String {
    let name = loaded_programs().flatten().find(|program| program.id() == id);
    let name = name.and_then(|program| program.name_as_str().map(|name| format!(" ({name})")));
    format!("program {id}{}", name.unwrap_or_default())
}

/// The name of the device's driver.
fn driver(link: &Link, device: &str) -> String {
    let of_hardware = || {
        let path = fs::read_link(format!("/sys/class/net/{device}/device/driver")).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let virtually = link.kind.as_ref().map(ToString::to_string);
    virtually.or_else(of_hardware).unwrap_or_else(|| "unknown".to_owned())
}
