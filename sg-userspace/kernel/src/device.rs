//! A device of this process's network namespace, and what attaching to it comes to, whatever the hook. It must never change one.
//! Called by `attach`, `clsact`, `xdp`, `pins` and whatever else names a device.

use std::io;

use aya::programs::{ProgramError, TcAttachType, tc::TcError};
use nix::net::if_::{Interface, if_indextoname, if_nameindex};

use super::{KernelError, object::Program};

/// A device as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The interface name.
    pub name: String,
    /// The interface index.
    pub index: u32,
}

impl Device {
    /// All devices of this process's network namespace.
    ///
    /// # Errors
    /// If the kernel does not list them.
    pub fn all() -> io::Result<Vec<Self>> {
        let device = |interface: &Interface| {
            let name = interface.name().to_string_lossy().into_owned();
            Self { name, index: interface.index() }
        };
        Ok(if_nameindex()?.iter().map(device).collect())
    }
}

/// The name of the device with this index in this process's network namespace, if there is one.
pub(super) fn name_of(index: u32) -> Option<String> {
    // Nix 0.31 takes the null that means failure for success, and the name is empty then.
    let name = if_indextoname(index).ok().filter(|name| !name.is_empty())?;
    Some(name.to_string_lossy().into_owned())
}

/// How a program was attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attached {
    /// It was not attached before.
    New,
    /// It replaced the program of an earlier run.
    Replaced,
}

/// The direction in which a program is attached at tc.
pub(super) const fn hook(program: Program) -> TcAttachType {
    match program {
        Program::Egress => TcAttachType::Egress,
        Program::Ingress | Program::Xdp | Program::Classify | Program::Empty | Program::Clock => {
            TcAttachType::Ingress
        }
    }
}

/// The error of attaching to `device`, which may be gone.
pub(super) fn attach_error(device: &Device, error: ProgramError) -> KernelError {
    let gone = match &error {
        ProgramError::UnknownInterface { .. } => true,
        ProgramError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::ENODEV),
        ProgramError::TcError(TcError::IoError(error)) => {
            error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
        }
        ProgramError::TcError(TcError::NetlinkError(error)) => error.raw_os_error() == Some(libc::ENODEV),
        _ => false,
    };
    if gone {
        return KernelError::NoDevice { device: device.name.clone() };
    }
    KernelError::call(format_args!("attach to {}", device.name))(error)
}
