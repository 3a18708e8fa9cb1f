//! The compiled image as an engine, read in user space by the same code that the kernel runs.

use sg_common::{
    dhcp::Kind,
    discovery::Message,
    exceptions::{self, Exception},
    flow::{Direction, First, FlowKey, packet_keys},
    guest,
    image::{CLASS_WORDS, Dimension, Header, Keys, Walk, flags, header},
    packet::{ETHERNET, Packet, Parsed, parse},
    verdict::{Decision, Reason, Verdict},
};
use sg_compile::{CompileError, Image, ImageOptions};
use sg_model::{Decider, Nic, Policy};
use sg_probe::{CheckResult, Probe};

use super::{Engine, EngineError, ImageFault};

/// The image of a NIC, and the owners of its counter numbers.
#[derive(Debug)]
pub struct CompiledNic {
    /// The compiled image.
    pub image: Image,
    /// The deciders, indexed by the number of their decisions.
    pub deciders: Vec<Decider>,
}

impl CompiledNic {
    /// Compiles the policy of `nic` for a check: the first generation, numbers from 0.
    ///
    /// # Errors
    /// If the policy cannot be compiled.
    pub fn new(policy: &Policy, nic: &Nic) -> Result<Self, CompileError> {
        let options = ImageOptions {
            generation: 1,
            counters: 0,
            budget_words: CLASS_WORDS.iter().copied().max().unwrap_or(0),
        };
        let mut deciders = Vec::new();
        let image = sg_compile::compile(policy, nic, &options, &mut |decider| {
            deciders.push(decider);
            deciders.len() as u32 - 1
        })?;
        Ok(Self { image, deciders })
    }
}

/// Judges probes by compiled images.
#[derive(Debug)]
pub struct ImageEngine<'a> {
    policy: &'a Policy,
    /// By the NIC's position; compiled at the first probe.
    nics: Vec<Option<CompiledNic>>,
}

impl<'a> ImageEngine<'a> {
    /// Creates an engine for probes of `policy`.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, nics: policy.nics().iter().map(|_| None).collect() }
    }

    /// Creates an engine that reads `nics`, by position, instead of compiling them.
    #[must_use]
    pub fn of(policy: &'a Policy, nics: Vec<CompiledNic>) -> Self {
        Self { policy, nics: nics.into_iter().map(Some).collect() }
    }
}

impl Engine for ImageEngine<'_> {
    fn check(&mut self, probe: &Probe) -> Result<CheckResult, EngineError> {
        let position = probe.nic();
        let (Some(nic), Some(place)) = (self.policy.nics().get(position), self.nics.get_mut(position)) else {
            return Err(EngineError::NoNic { nic: position });
        };
        let compiled = match place {
            Some(compiled) => compiled,
            None => place.insert(CompiledNic::new(self.policy, nic)?),
        };
        // The frame, not the probe: parsing is part of what is checked.
        let frame = probe.frame(nic.mac_for(probe.source()));
        let (Parsed::Packet(packet), Some(sender)) = (parse(&&frame[..]), guest::sender(&&frame[..])) else {
            return Err(EngineError::Frame { probe: Box::new(*probe) });
        };
        compiled
            .judge(&frame, &packet, sender, probe.direction())
            .map_err(|fault| EngineError::Image { device: nic.device.clone(), fault })
    }
}

impl CompiledNic {
    /// What the datapath does with a packet that starts a flow, step by step.
    fn judge(
        &self,
        frame: &[u8],
        packet: &Packet,
        sender: u64,
        direction: Direction,
    ) -> Result<CheckResult, ImageFault> {
        let words = self.image.words();
        let header = Header::read(words).ok_or(ImageFault::Version)?;
        let mut keys = packet_keys(direction, packet);
        keys.set(Dimension::Ethernet, sender);
        let walk = |root, keys: &Keys| Walk::from(words, root).run(words, keys).ok_or(ImageFault::Walk);
        let family = packet.family as usize;
        let own = walk(header::OWN + family, &keys)?.accepts();
        let guarded = direction == Direction::Egress && header.flags & flags::ANTI_SPOOFING != 0;
        let spoofed = guarded && !walk(header::ALLOWED_SOURCES + family, &keys)?.accepts();
        if guarded && guest::is_server(packet) {
            return Ok(CheckResult::without_policy(Verdict::Drop, Reason::RogueServer));
        }
        // A probe never contains the address that it would advertise.
        if guarded && guest::is_advertisement(packet) {
            return Ok(CheckResult::without_policy(Verdict::Drop, Reason::Malformed));
        }
        if !spoofed || guest::may_solicit(packet, header.flags) {
            // No request precedes a probe, so it is no reply.
            let passes = match exceptions::find(&frame, ETHERNET, packet, direction) {
                Some(Exception::Dhcp(message)) => match message.kind {
                    Kind::ToAll => Some(Reason::Dhcp),
                    Kind::ToOne if spoofed || !own => None,
                    Kind::ToOne => {
                        walk(header::DHCP_SERVERS + family, &keys)?.accepts().then_some(Reason::Dhcp)
                    }
                    Kind::Reply | Kind::Assigns(_) => None,
                },
                Some(Exception::Discovery(Message::Advertisement)) | None => None,
                Some(Exception::Discovery(_)) => Some(Reason::NeighbourDiscovery),
            };
            if let Some(reason) = passes {
                return Ok(CheckResult::without_policy(Verdict::Accept, reason));
            }
        }
        if spoofed || guarded && packet.source.is_unspecified() {
            return Ok(CheckResult::without_policy(Verdict::Drop, Reason::AntiSpoofing));
        }
        self.decided(walk(header::ROOTS + direction as usize * 2 + family, &keys)?)
    }

    /// What the rules decide about a flow of `key` that began with `first`; with `either`, and if they accept it, also about one that
    /// began in the other direction: as the datapath judges a flow again. What comes before the rules is about single packets,
    /// and ends no flow.
    ///
    /// # Errors
    /// If the image is defective.
    pub fn judge_flow(&self, key: &FlowKey, first: First, either: bool) -> Result<CheckResult, ImageFault> {
        let words = self.image.words();
        Header::read(words).ok_or(ImageFault::Version)?;
        let walk = |first: First| {
            let root = header::ROOTS + first.direction() as usize * 2 + key.l4.family() as usize;
            Walk::from(words, root).run(words, &Keys::of(&key.original(first))).ok_or(ImageFault::Walk)
        };
        let decision = walk(first)?;
        self.decided(if either && decision.accepts() { walk(first.reversed())? } else { decision })
    }

    /// The result for a decision of the program or the image.
    pub(super) fn decided(&self, decision: Decision) -> Result<CheckResult, ImageFault> {
        let number = decision.number();
        let reason =
            decision.reason().map_err(|_| ImageFault::Reason { reason: decision.reason_number(), number })?;
        if !matches!(reason, Reason::Rule | Reason::IntraGroup | Reason::Default) {
            return Ok(CheckResult::without_policy(decision.verdict(), reason));
        }
        let decider = self.deciders.get(number as usize).ok_or(ImageFault::Number { number })?;
        let result = CheckResult::of(*decider, decision.verdict());
        if reason != result.reason {
            return Err(ImageFault::Reason { reason: reason as u8, number });
        }
        Ok(result)
    }
}
