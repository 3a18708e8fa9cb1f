//! The program in the kernel as an engine: the real program on real packets.

use sg_common::{
    flow::{self, Direction, FlowKey},
    packet::{Parsed, parse},
};
use sg_kernel::{Datapath, KernelError, Limits, Options, Program};
use sg_model::{Policy, Role};
use sg_probe::{CheckResult, Probe};

use super::{CompiledNic, Engine, EngineError};

/// A datapath for checks: no pins, no devices, and only as many flows as a probe needs.
const LIMITS: Limits = Limits { nics: 1 << 12, flows: 64, counters: 64, denied: 0 };

/// Runs the eBPF program on real packets, through `BPF_PROG_TEST_RUN`.
#[derive(Debug)]
pub struct KernelEngine<'a> {
    policy: &'a Policy,
    datapath: Datapath,
    /// By the NIC's position, which is its slot; compiled and published at the first probe.
    nics: Vec<Option<CompiledNic>>,
    /// The NIC that test runs currently use.
    current: Option<usize>,
}

impl<'a> KernelEngine<'a> {
    /// Creates an engine for probes of `policy`.
    ///
    /// # Errors
    /// If the kernel does not accept the program.
    pub fn new(policy: &'a Policy) -> Result<Self, EngineError> {
        Ok(Self::over(Self::datapath()?, policy))
    }

    /// Loads a datapath for [`Self::over`]: loading takes longer than many probes, so tests of many policies keep one.
    ///
    /// # Errors
    /// If the kernel does not accept the program.
    pub fn datapath() -> Result<Datapath, KernelError> {
        Datapath::load(&Options { limits: LIMITS, ..Options::default() })
    }

    /// Creates an engine for probes of `policy` with an existing datapath.
    #[must_use]
    pub fn over(datapath: Datapath, policy: &'a Policy) -> Self {
        Self { policy, datapath, nics: policy.nics().iter().map(|_| None).collect(), current: None }
    }

    /// Like [`Self::over`], with `nics` already published, each in the slot of its position.
    #[must_use]
    pub fn of(datapath: Datapath, policy: &'a Policy, nics: Vec<CompiledNic>) -> Self {
        Self { policy, datapath, nics: nics.into_iter().map(Some).collect(), current: None }
    }

    /// Returns the datapath.
    #[must_use]
    pub fn into_datapath(self) -> Datapath {
        self.datapath
    }
}

impl Engine for KernelEngine<'_> {
    fn check(&mut self, probe: &Probe) -> Result<CheckResult, EngineError> {
        let position = probe.nic();
        let (Some(nic), Some(place)) = (self.policy.nics().get(position), self.nics.get_mut(position)) else {
            return Err(EngineError::NoNic { nic: position });
        };
        let slot = u16::try_from(position).map_err(|_| EngineError::NoNic { nic: position })?;
        let compiled = if let Some(compiled) = place {
            compiled
        } else {
            let compiled = CompiledNic::new(self.policy, nic)?;
            self.datapath.publish(slot, &compiled.image)?;
            place.insert(compiled)
        };
        if self.current != Some(position) {
            self.datapath.stand_in(slot)?;
            self.current = Some(position);
        }

        // A host's inbound packets are received by its device; a guest's inbound packets are sent by the host end.
        let program = match (nic.role, probe.direction()) {
            (Role::Host, Direction::Ingress) | (Role::Guest, Direction::Egress) => Program::Ingress,
            (Role::Host, Direction::Egress) | (Role::Guest, Direction::Ingress) => Program::Egress,
        };
        let frame = probe.frame(nic.mac_for(probe.source()));
        let outcome = self.datapath.run(program, &frame, 1)?;
        let decision = outcome.decision.filter(|decision| decision.accepts() == outcome.passed);
        let Some(decision) = decision else {
            return Err(EngineError::Undecided { device: nic.device.clone(), passed: outcome.passed });
        };

        // The next probe must start a flow too, whatever this one did.
        let Parsed::Packet(packet) = parse(&&frame[..]) else {
            return Err(EngineError::Frame { probe: Box::new(*probe) });
        };
        if decision.accepts()
            && flow::opens(&packet)
            && let Some(key) = FlowKey::of(slot, probe.direction(), &packet)
        {
            self.datapath.forget_flow(&key)?;
        }
        compiled.decided(decision).map_err(|fault| EngineError::Image { device: nic.device.clone(), fault })
    }
}
