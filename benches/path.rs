//! The cost of a packet on its whole path through a router: received, judged, forwarded. Each filter has its own router, under
//! the same rules and the same packets, beside one whose program does nothing. Samples alternate between them, and the least of a
//! filter's rounds counts; criterion has no samples in turns. That is done under 10 rules, and under more, each time with new
//! routers.
//!
//! Before anything is measured, every filter must give the verdicts of the rules for the same sample of packets.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sg_benches::{
    Figure, NoiseGuard, Plan, Samples, Unit,
    cloud::{self, Question, Rule, TCP},
};
use sg_tests::{
    lab::{self, Entered, Lab, Vary},
    packet::{ACK, SYN},
};

mod forwarding_path;
mod peers;

use forwarding_path::{ForwardingPath, From, Packet};
use peers::{EMPTY, Filter, Peer};

/// Numbers of rules.
const SIZES: [Size; 4] = [
    Size { rules: 10, name: "10", kinds: &[Kind::New], full: true },
    Size { rules: 100, name: "100", kinds: &[Kind::New], full: true },
    Size { rules: 1_000, name: "1k", kinds: &Kind::ALL, full: false },
    Size { rules: 10_000, name: "10k", kinds: &[Kind::New], full: false },
];
/// Flows with packets in both directions.
const FLOWS: usize = 16_384;
/// Parts of a round of a kind: on a busy machine a short part is more often undisturbed.
const PARTS: u32 = 8;
/// The intended duration of a part, and the bounds of its number of packets: the kernel makes the lower one in one call.
const PART: Duration = Duration::from_millis(3);
const PACKETS: [u32; 2] = [256, 4_096];
/// The family of packets a second, of the kind [`Kind::New`].
const RATE: &str = "rate";
/// Questions of the sample; packets are made of those.
const SAMPLE: usize = 2_048;

/// What a packet is to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The first of a flow that the rules accept, from a port that was not used before.
    New,
    /// The same once more, before any reply: the rules are evaluated again, and nothing need be remembered.
    Again,
    /// Of an established flow.
    Known,
    /// The first of a flow that the rules drop.
    Denied,
}

impl Kind {
    /// In the order in which they are measured: known flows before others fill the tables.
    const ALL: [Self; 4] = [Self::Known, Self::New, Self::Again, Self::Denied];

    /// The family of its figures.
    const fn family(self) -> &'static str {
        match self {
            Self::New => "path",
            Self::Again => "path-again",
            Self::Known => "path-known",
            Self::Denied => "path-denied",
        }
    }
}

fn main() -> Result<()> {
    let families = Kind::ALL.map(Kind::family);
    let Some(plan) = Plan::from_env(&[&families[..], &[RATE]].concat()) else { return Ok(()) };
    let lab = match Lab::enter()? {
        Entered::Inside(lab) => lab,
        Entered::LeftOut(why) => bail!("path needs {why}"),
    };
    if let Some(missing) = lab::missing() {
        bail!(missing);
    }
    let mut patience = NoiseGuard::new(&plan);
    for size in SIZES {
        let wanted = peers::ALL.into_iter().filter(|peer| size.is_wanted(&plan, *peer));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
        } else if plan.quick && size.full {
            println!("path/…/{} is left out of a short run", size.name);
        } else {
            measure(lab, &plan, &mut patience, size, &wanted)?;
        }
    }
    Ok(())
}

/// A set of rules to measure under.
#[derive(Clone, Copy, Debug)]
struct Size {
    rules: usize,
    /// The name in figures.
    name: &'static str,
    /// The measured kinds.
    kinds: &'static [Kind],
    /// Whether a short run leaves it out.
    full: bool,
}

impl Size {
    /// Whether a figure of this filter is wanted.
    fn is_wanted(&self, plan: &Plan, peer: Peer) -> bool {
        let families = self.kinds.iter().map(|kind| kind.family()).chain(self.has_rate().then_some(RATE));
        families.into_iter().any(|family| plan.wants(&self.figure(family, peer)))
    }

    /// Packets a second say nothing that `path` does not, so they are reported for one size.
    fn has_rate(&self) -> bool {
        self.kinds == Kind::ALL
    }

    fn figure(&self, family: &str, peer: Peer) -> String {
        format!("{family}/{}/{}", peer.name, self.name)
    }
}

fn measure(lab: Lab, plan: &Plan, patience: &mut NoiseGuard, size: Size, wanted: &[Peer]) -> Result<()> {
    println!("\n{} rules", size.rules);
    let rules = cloud::rules(size.rules);
    let traffic = Traffic::new(&rules);
    let mut routers = vec![Router::new(lab, EMPTY, &[], &traffic)?];
    for &peer in wanted {
        match peer.missing() {
            Some(command) => println!("path/{} is left out: needs `{command}`", peer.name),
            None => routers.push(Router::new(lab, peer, &rules, &traffic)?),
        }
    }
    patience.rounds(plan.rounds(25, 5), || {
        for router in &mut routers {
            router.round(&traffic, size.kinds)?;
        }
        anyhow::Ok(routers[0].rounds[Kind::New as usize].least())
    })?;
    report(plan, size, &routers);
    Ok(())
}

/// The same packets for all.
struct Traffic {
    questions: Vec<Question>,
    verdicts: Vec<bool>,
    opening: Vec<Packet>,
    denied: Vec<Packet>,
    /// The source of each flow's packets.
    flows: Vec<Packet>,
}

impl Traffic {
    fn new(rules: &[Rule]) -> Self {
        let questions = cloud::questions(rules, SAMPLE / 2);
        let verdicts: Vec<_> = questions.iter().map(|question| cloud::accepts(rules, question)).collect();
        let of = |accepted: bool| -> Vec<Packet> {
            let all = questions.iter().zip(&verdicts).filter(|(question, _)| question.protocol == TCP);
            all.filter(|(_, verdict)| **verdict == accepted)
                .map(|(question, _)| Packet::opening(*question, 0))
                .collect()
        };
        let opening = of(true);
        let flows = (0_u16..).zip(opening.iter().cycle()).take(FLOWS);
        let flows = flows.map(|(number, packet)| Packet { remote_port: 1_024 + number, ..*packet }).collect();
        Self { denied: of(false), opening, flows, questions, verdicts }
    }
}

struct Router {
    peer: Peer,
    path: ForwardingPath,
    filter: Filter,
    /// By kind.
    rounds: [Samples; 4],
}

impl Router {
    fn new(lab: Lab, peer: Peer, rules: &[Rule], traffic: &Traffic) -> Result<Self> {
        let mut path = ForwardingPath::new(lab)?;
        let filter = (peer.install)(&path.router, rules)?;
        let said = forwarding_path::verdicts(&mut path, &traffic.questions)?;
        let expected = |verdict: &bool| *verdict || peer.name == EMPTY.name;
        let wrong: Vec<_> = traffic
            .questions
            .iter()
            .zip(traffic.verdicts.iter().map(expected).zip(said))
            .filter(|(_, (expected, said))| expected != said)
            .map(|(question, _)| question)
            .collect();
        ensure!(wrong.is_empty(), "{} judges {} packets otherwise: {:?}", peer.name, wrong.len(), wrong[0]);
        println!("{}: the same verdicts about {} packets", peer.name, traffic.questions.len());
        Ok(Self { peer, path, filter, rounds: Default::default() })
    }

    fn round(&mut self, traffic: &Traffic, kinds: &[Kind]) -> Result<()> {
        self.filter.forget(&self.path.router)?;
        for &kind in kinds {
            match kind {
                Kind::Known => {
                    self.establish(&traffic.flows)?;
                    self.measure(kind, &of(&traffic.flows, ACK, [1, 5_001]), Vary::Nothing)?;
                }
                Kind::New => self.measure(kind, &traffic.opening, Vary::Port)?,
                Kind::Again => self.measure(kind, &traffic.opening, Vary::Nothing)?,
                Kind::Denied => self.measure(kind, &traffic.denied, Vary::Port)?,
            }
        }
        Ok(())
    }

    /// Sends packets of all flows in both directions.
    fn establish(&mut self, flows: &[Packet]) -> Result<()> {
        for (from, flags, numbers) in [
            (From::Remote, SYN, [0, 0]),
            (From::Local, SYN | ACK, [5_000, 1]),
            (From::Remote, ACK, [1, 5_001]),
        ] {
            self.path.load(from, &of(flows, flags, numbers), Vary::Nothing)?;
            let (_, passed) = self.path.send(from, flows.len() as u32)?;
            let name = self.peer.name;
            ensure!(passed == flows.len() as u64, "{name}: of {} flows {passed} are known", flows.len());
        }
        Ok(())
    }

    fn measure(&mut self, kind: Kind, packets: &[Packet], vary: Vary) -> Result<()> {
        self.path.load(From::Remote, packets, vary)?;
        if vary == Vary::Nothing {
            self.path.send(From::Remote, packets.len() as u32)?;
        }
        let passes = kind != Kind::Denied || self.peer.name == EMPTY.name;
        let [fewest, most] = PACKETS;
        let mut count = fewest;
        // The first part determines how many packets the others have.
        for part in 0..=PARTS {
            let (sent, passed) = self.path.send(From::Remote, count)?;
            let expected = if passes { sent.packets } else { 0 };
            let name = self.peer.name;
            ensure!(passed == expected, "{name}: {passed} of {} {kind:?} packets passed", sent.packets);
            if part == 0 {
                let fit = (PART * count).as_nanos() / sent.time.as_nanos().max(1);
                count = (fit as u32).clamp(fewest, most) / fewest * fewest;
            } else {
                self.rounds[kind as usize].push(sent.each());
            }
        }
        Ok(())
    }
}

/// The packets with these flags and numbers.
fn of(flows: &[Packet], flags: u8, numbers: [u32; 2]) -> Vec<Packet> {
    flows.iter().map(|flow| Packet { flags, numbers, ..*flow }).collect()
}

fn report(plan: &Plan, size: Size, routers: &[Router]) {
    let least = |router: &Router, kind: Kind| router.rounds[kind as usize].least();
    let Some((empty, filters)) = routers.split_first() else { return };
    let added = |router: &Router, kind: Kind| least(router, kind) - least(empty, kind);
    println!("\nns a packet, and what is added to the empty program, under {} rules:", size.rules);
    print!("{:<14}", "");
    for kind in size.kinds {
        print!("{:>24}", kind.family());
    }
    println!();
    for router in routers {
        print!("{:<14}", router.peer.name);
        for &kind in size.kinds {
            print!("{:>13.0} ({:>+8.0})", least(router, kind), added(router, kind));
        }
        println!();
    }
    println!();
    for router in filters {
        for &kind in size.kinds {
            let name = size.figure(kind.family(), router.peer);
            let figure = Figure::new(name, added(router, kind), Unit::Nanoseconds);
            plan.record(&figure.beside(least(empty, kind)).spread(router.rounds[kind as usize].spread()));
        }
        if size.has_rate() {
            let rate = |router| 1e9 / least(router, Kind::New);
            let name = size.figure(RATE, router.peer);
            plan.record(&Figure::new(name, rate(router), Unit::PacketsPerSecond).beside(rate(empty)));
        }
    }
}
