//! Filters of a clsact qdisc, by which programs are attached at tc before Linux 6.6. It must never touch another filter or qdisc:
//! ours have a preference, and a handle of their instance. Called by `attach`, and by `pins` to remove what is attached.

use std::path::Path;

use aya::programs::{
    ProgramError, SchedClassifier,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};

use super::{
    KernelError,
    device::{Attached, Device, attach_error, hook, name_of},
    object::Program,
};

/// The preference of our filters in a clsact qdisc, lower than the kernel's automatic 49152.
const PREFERENCE: u16 = 0x5347;

/// The handle of filters that belong to no instance.
const HANDLE_OF_NONE: TcHandle = TcHandle::new(0, 1);

/// The handle of the filters of the instance that pins in `directory`: instances on one device have different handles.
pub(super) fn handle(directory: Option<&Path>) -> TcHandle {
    let Some(instance) = directory.and_then(Path::parent).and_then(Path::file_name) else {
        return HANDLE_OF_NONE;
    };
    // FNV-1a: a name has the same handle in every build.
    let bytes = instance.as_encoded_bytes().iter();
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    TcHandle::from(hash | 1 << 31)
}

/// Attaches the program, in place of the filter of an earlier run.
pub(super) fn add(
    classifier: &mut SchedClassifier,
    program: Program,
    device: &Device,
    handle: TcHandle,
) -> Result<Attached, KernelError> {
    match tc::qdisc_add_clsact(&device.name) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        Err(error) => return Err(attach_error(device, error.into())),
    }
    let options = || TcAttachOptions::Netlink(NlOptions { priority: PREFERENCE, handle, classid: None });
    let mut attached = Attached::New;
    let id = match classifier.attach_with_options(&device.name, hook(program), options()) {
        // A filter of an earlier run: replaced atomically.
        Err(ProgramError::TcError(TcError::NetlinkError(error)))
            if error.raw_os_error() == Some(libc::EEXIST) =>
        {
            attached = Attached::Replaced;
            classifier
                .attach_to_link(filter(program, device, handle)?)
                .map_err(|error| attach_error(device, error))?
        }
        other => other.map_err(|error| attach_error(device, error))?,
    };
    let link = classifier.take_link(id).map_err(KernelError::call("take over a filter"))?;
    // A filter needs no process to hold it; dropping this would detach it.
    std::mem::forget(link);
    Ok(attached)
}

/// Removes our filter from a device. It is no error if there is no filter, or no device.
pub(super) fn remove(program: Program, device: &Device, handle: TcHandle) -> Result<(), KernelError> {
    use aya::programs::Link as _;
    // The device may have been renamed, and its old name may be another device's. A filter stays with the index.
    let Some(name) = name_of(device.index) else { return Ok(()) };
    let device = &Device { name, index: device.index };
    let Ok(link) = filter(program, device, handle) else { return Ok(()) };
    match link.detach() {
        Ok(()) => Ok(()),
        // No such filter (ENOENT), no clsact qdisc (EINVAL), no device (ENODEV).
        Err(ProgramError::NetlinkError(error))
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) =>
        {
            Ok(())
        }
        Err(error) => Err(KernelError::call(format_args!("take the filter off {}", device.name))(error)),
    }
}

fn filter(program: Program, device: &Device, handle: TcHandle) -> Result<SchedClassifierLink, KernelError> {
    SchedClassifierLink::attached(&device.name, hook(program), PREFERENCE, handle, None)
        .map_err(|error| attach_error(device, TcError::IoError(error).into()))
}
