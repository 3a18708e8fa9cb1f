//! Native XDP: a program in the driver, before the kernel builds a packet buffer. Where a driver says no, this file
//! says which driver, why, and what to do. It must never fall back to another way by itself: `attach` asks for what the
//! policy says. Called by `attach`.

use std::{fs, io};

use aya::programs::{
    ProgramError, Xdp, XdpError, XdpMode,
    links::{FdLink, LinkError},
    loaded_programs,
    xdp::XdpLink,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::{Device, KernelError, sys};

/// Hooks the program in where there is none.
pub(super) fn add(xdp: &mut Xdp, device: &Device) -> Result<FdLink, KernelError> {
    if takes_tags_off(device)? {
        return Err(KernelError::TagsTakenOff { device: device.name.clone() });
    }
    let id = xdp.attach_to_if_index(device.index, XdpMode::Driver).map_err(|error| refusal(device, error))?;
    let link = xdp.take_link(id).map_err(KernelError::call("take over a link"))?;
    // Without links (before 5.9) aya attaches in another way, and takes it off again as it drops that.
    FdLink::try_from(link).map_err(|_| KernelError::Unsupported {
        feature: "an XDP link",
        minimum: "5.9",
        hint: ": write `hook: tc`",
    })
}

/// Whether the device takes VLAN tags off what it receives. A veth says so and does not: a tag is missing there where its other end
/// never wrote it into the frame (`tx-vlan-offload` of that end), whatever this end is set to.
fn takes_tags_off(device: &Device) -> Result<bool, KernelError> {
    let failed = |source| KernelError::Path {
        doing: "ask about the VLAN tags of",
        path: device.name.clone().into(),
        source,
    };
    match sys::strips_vlan_tags(&device.name) {
        // Neither a driver of this name nor such a call.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            Err(KernelError::NoDevice { device: device.name.clone() })
        }
        Err(error) => Err(failed(error)),
        Ok(false) => Ok(false),
        Ok(true) => Ok(about(device.index).map_err(failed)?.kind.as_deref() != Some("veth")),
    }
}

/// Puts the program into a link that is there, in one step.
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
    let about = about(device.index).unwrap_or_default();
    match code {
        Some(libc::ENODEV) => KernelError::NoDevice { device: name },
        None | Some(libc::EPERM | libc::EACCES) => {
            KernelError::call(format_args!("attach XDP to {name}"))(error)
        }
        Some(libc::EBUSY | libc::EEXIST) if let Some(id) = about.program => {
            KernelError::XdpTaken { device: name, program: program_name(id) }
        }
        Some(code) => {
            KernelError::NoNativeXdp { driver: about.driver(&name), device: name, why: why(code, about.mtu) }
        }
    }
}

/// What the driver means: the kernel keeps its words from those who attach by a link.
fn why(code: i32, mtu: Option<u32>) -> String {
    let said = io::Error::from_raw_os_error(code);
    match code {
        // No `ndo_bpf`, or switched off by a setting such as LRO.
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

/// What the kernel says of a device.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    mtu: Option<u32>,
    /// Of a virtual device: what makes it, such as `veth`.
    kind: Option<String>,
    /// The number of the XDP program that is attached.
    program: Option<u32>,
}

impl About {
    fn driver(&self, device: &str) -> String {
        let of_hardware = || {
            let path = fs::read_link(format!("/sys/class/net/{device}/device/driver")).ok()?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        };
        self.kind.clone().or_else(of_hardware).unwrap_or_else(|| "unknown".to_owned())
    }
}

/// Asks (`RTM_GETLINK`, rtnetlink(7)).
fn about(index: u32) -> io::Result<About> {
    const LENGTH: usize = 32;
    const NLM_F_REQUEST: u16 = 1;
    let mut request = Vec::with_capacity(LENGTH);
    request.extend((LENGTH as u32).to_ne_bytes());
    request.extend(libc::RTM_GETLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 12]);
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    Ok(read(&answer))
}

/// Reads the answer: two headers of 16 bytes, then attributes. What is not there is not known.
fn read(answer: &[u8]) -> About {
    /// `include/uapi/linux/if_link.h`.
    const MTU: u16 = 4;
    const LINK_INFO: u16 = 18;
    const KIND: u16 = 1;
    const XDP: u16 = 43;
    const PROGRAMS: [u16; 4] = [4, 5, 6, 7];
    let number = |value: &[u8]| Some(u32::from_ne_bytes(value.try_into().ok()?));
    let mut about = About::default();
    for (kind, value) in attributes(answer.get(32..).unwrap_or_default()) {
        match kind {
            MTU => about.mtu = number(value),
            LINK_INFO => {
                let named = attributes(value).find(|&(kind, _)| kind == KIND);
                about.kind =
                    named.map(|(_, name)| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
            }
            XDP => {
                let program = attributes(value).find(|(kind, _)| PROGRAMS.contains(kind));
                about.program = program.and_then(|(_, id)| number(id));
            }
            _ => {}
        }
    }
    about
}

/// Attributes by type: a length with its own header, a type, the value, each at a multiple of four.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Above are flags.
    const TYPE: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let half = |at: usize| Some(u16::from_ne_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let (length, kind) = (usize::from(half(0)?), half(2)? & TYPE);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_loopback_is() {
        let about = about(1).unwrap();
        assert!(about.mtu.is_some_and(|mtu| mtu >= 1500), "{about:?}");
        assert_eq!((about.program, about.driver("lo")), (None, "unknown".to_owned()));
    }

    #[test]
    fn attributes_are_read_as_they_are_nested() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut answer = vec![0; 32];
        answer.extend(attribute(4, &1500_u32.to_ne_bytes()));
        answer.extend(attribute(18, &attribute(1, b"veth\0")));
        answer.extend(attribute(0x802b, &[attribute(2, &[1]), attribute(4, &77_u32.to_ne_bytes())].concat()));
        let about = About { mtu: Some(1500), kind: Some("veth".to_owned()), program: Some(77) };
        assert_eq!(read(&answer), about);
        for end in 0..answer.len() {
            read(&answer[..end]);
        }
    }
}
