//! The eBPF object: its programs and its maps, by their names. A program is loaded here on first use; this file must never attach
//! or pin one. The files of tables and hooks call it, and `datapath`.

use aya::{
    Ebpf,
    maps::{Map, MapError},
    programs::{self, ProgramType},
    sys::{BpfHelper, is_helper_supported},
};

use super::KernelError;

/// The eBPF object; empty if it could not be built (see `build.rs`).
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sg-ebpf"));

/// Whether this binary contains the eBPF programs. It is built without them if bpf-linker is missing.
#[must_use]
pub const fn has_programs() -> bool {
    !OBJECT.is_empty()
}

/// A program of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Judges what a device receives.
    Ingress,
    /// The same, before the kernel allocates a packet buffer.
    Xdp,
    /// Judges what a device sends.
    Egress,
    /// Runs the classifier only: a stage, for measurements. Never attached.
    Classify,
    /// Does nothing: its cost is subtracted in measurements. Never attached.
    Empty,
    /// Returns jiffies.
    Clock,
}

impl Program {
    /// Every program of the object.
    pub const ALL: [Self; 6] =
        [Self::Ingress, Self::Xdp, Self::Egress, Self::Classify, Self::Empty, Self::Clock];

    /// The programs that are attached to devices.
    pub(super) const HOOKED: [Self; 3] = [Self::Ingress, Self::Xdp, Self::Egress];

    /// The name in the object and in `bpftool prog`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "sg_ingress",
            Self::Xdp => "sg_xdp",
            Self::Egress => "sg_egress",
            Self::Classify => "sg_classify",
            Self::Empty => "sg_empty",
            Self::Clock => "sg_clock",
        }
    }
}

/// A program of the object, as the type that its hook requires. It is loaded on first use: the verifier takes 0.2 s for each
/// program that judges packets, and few hosts need all of them.
pub(super) fn program_of<'a, T>(ebpf: &'a mut Ebpf, program: Program) -> Result<T, KernelError>
where
    T: TryFrom<&'a mut programs::Program>,
{
    let missing = || KernelError::Missing { what: "program", name: program.name() };
    let found = ebpf.program_mut(program.name()).ok_or_else(missing)?;
    if found.fd().is_err() {
        match found {
            programs::Program::Xdp(xdp) => xdp.load(),
            programs::Program::SchedClassifier(classifier) => classifier.load(),
            _ => return Err(missing()),
        }
        .map_err(KernelError::load(program.name()))?;
    }
    found.try_into().map_err(|_| missing())
}

/// The number of instructions the verifier processed for `program`.
pub(super) fn verified_instructions(ebpf: &mut Ebpf, program: Program) -> Result<u32, KernelError> {
    let info = program_of::<&mut programs::Program>(ebpf, program)?
        .info()
        .map_err(KernelError::call(format_args!("ask about program {}", program.name())))?;
    info.verified_instruction_count().ok_or(KernelError::Unsupported {
        feature: "the count of verified instructions",
        minimum: "5.16",
        hint: "",
    })
}

/// Takes a map out of the object.
pub(super) fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name })
}

/// Takes a map out of the object, as its type.
pub(super) fn open<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, KernelError> {
    M::try_from(take_map(ebpf, name)?).map_err(KernelError::call(format_args!("open map {name}")))
}

/// Whether this kernel has IPsec, so that a program can ask whether it decrypted a packet. A kernel that does not report it is
/// assumed to have it, as distribution kernels do: if that is wrong, the kernel rejects the program and says why.
pub(super) fn knows_ipsec() -> bool {
    is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_skb_get_xfrm_state).unwrap_or(true)
}
