//! The run: cases through the filter, through no filter and through nftables, and the judgement of what arrived.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    address::CASES,
    combination::{Combination, Side},
    frames::Family,
    lab::{Agent, Host, Lab},
    receiver::Arrivals,
    report::All,
    rules::Policy,
    seen::{By, Seen},
    stack::Stack,
    story::Case,
    verdict::{Forbidden, Judge, Kind},
};

/// Frames of a batch: fewer than fit into a queue of a veth device with an XDP program (`VETH_RING_SIZE` in
/// drivers/net/veth.c), which drops what does not fit.
const BATCH: usize = 160;
/// Numbers of cases that are kept for those that are run again.
const AGAIN: u32 = 1 << 16;
/// Findings of one kind that are kept.
const KEPT: usize = 2;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of all cases.
    pub seed: u64,
    /// How many frames each combination sends, at least.
    pub frames: u64,
    /// Only the case at this place.
    pub only: Option<u64>,
    /// Whether the first case that goes wrong ends it.
    pub first: bool,
}

/// What is wrong about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// This arrived.
    Arrived(Forbidden),
    /// A filter refused what was not for the receiver, or came from a group.
    Refused,
    /// What the rules accept and nftables lets pass did not, and nothing explains it.
    Blocked,
}

/// A case that went wrong, and all that is needed to see it again.
pub struct Finding {
    /// What is wrong.
    pub wrong: Wrong,
    /// Under which policy.
    pub policy: Policy,
    /// The text.
    pub text: String,
}

/// What happened.
#[derive(Default)]
pub struct Tally {
    /// Frames sent through the filter.
    pub frames: u64,
    /// Cases.
    pub cases: u64,
    /// By family: datagrams that arrived behind the filter.
    pub delivered: [u64; 2],
    /// By family: datagrams that arrived where there is no filter, and that must not arrive behind it.
    pub forbidden: [u64; 2],
    /// Differences from nftables that have a name.
    pub kinds: BTreeMap<Kind, u64>,
    /// Cases that went wrong, by what is wrong, the policy and the kind of case.
    pub wrong: BTreeMap<(Wrong, Policy, &'static str), u64>,
    /// Some of them in full.
    pub findings: Vec<Finding>,
    /// How many frames were sent, and how long it took, until a case went wrong.
    pub first: Option<(u64, Duration)>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = u128::from(self.frames) * 1000 / self.took.as_millis().max(1);
        write!(
            f,
            "{} frames of {} cases in {:.1} s ({rate}/s); arrived behind the filter {:?} (IPv4, IPv6); arrived without one, \
             though forbidden, {:?}; named differences {:?}",
            self.frames,
            self.cases,
            self.took.as_secs_f64(),
            self.delivered,
            self.forbidden,
            self.kinds
        )?;
        if let Some((frames, took)) = self.first {
            write!(f, "\n  the first case went wrong after {frames} frames, {:.1} s", took.as_secs_f64())?;
        }
        self.wrong.iter().try_for_each(|((wrong, policy, story), times)| {
            write!(f, "\n  {times} × {wrong:?}, policy {policy:?}: {story}")
        })
    }
}

/// The three stacks under one combination.
pub struct Run {
    plan: Plan,
    combination: Combination,
    filtered: Stack,
    twin: Stack,
    peer: Stack,
    agent: Option<Agent>,
    again: u32,
    tally: Tally,
    start: Instant,
}

/// What arrived in each of the three.
struct Three {
    filtered: Arrivals,
    twin: Arrivals,
    peer: Arrivals,
}

impl Three {
    fn of(&self, number: u32) -> [&[Seen]; 3] {
        [&self.filtered, &self.twin, &self.peer].map(|all| all.get(&number).map_or(&[][..], Vec::as_slice))
    }
}

impl Run {
    /// Runs `plan` under a combination, and all policies.
    ///
    /// # Errors
    /// Where the stacks cannot be made, or a batch does not go through.
    pub fn under(lab: Lab, combination: Combination, plan: Plan) -> Result<Tally> {
        let start = Instant::now();
        let _one = OneCpu::pin()?;
        let mut run = Self {
            plan,
            combination,
            filtered: Stack::new(lab)?,
            twin: Stack::new(lab)?,
            peer: Stack::new(lab)?,
            agent: None,
            again: 0,
            tally: Tally::default(),
            start,
        };
        // No two combinations have a case in common.
        let index = Combination::all().iter().position(|&other| other == combination).unwrap_or(0);
        let mut place = (index as u64) << 40;
        let policies = Policy::all(combination);
        for &policy in policies {
            run.apply(policy)?;
            let enough = run.tally.frames + plan.frames.div_ceil(policies.len() as u64);
            if let Some(only) = plan.only {
                run.batch(policy, &[run.case(only)])?;
                continue;
            }
            while run.tally.frames < enough && !(plan.first && run.tally.first.is_some()) {
                let mut cases = Vec::new();
                let mut frames = 0;
                while frames < BATCH {
                    let case = run.case(place);
                    place += 1;
                    frames += case.steps.len();
                    cases.push(case);
                }
                run.batch(policy, &cases)?;
            }
        }
        run.tally.took = start.elapsed();
        Ok(run.tally)
    }

    fn case(&self, place: u64) -> Case {
        let number = 1 + (place % u64::from(CASES - AGAIN - 1)) as u32;
        Case::tell((self.plan.seed, place), number, self.combination)
    }

    fn apply(&mut self, policy: Policy) -> Result<()> {
        let document = policy.document(self.combination, self.filtered.link.to);
        if let Some(agent) = &mut self.agent {
            agent.apply(&document)?;
        } else {
            let host = match self.combination.side() {
                Side::Receiver => &self.filtered.receiver,
                Side::Sender => &self.filtered.sender,
            };
            self.agent = Some(Agent::start(host, &document, self.combination.attach.into())?);
        }
        nft(&self.peer.receiver, &policy.ruleset())
    }

    fn three(&mut self, cases: &[Case]) -> Result<Three> {
        Ok(Three {
            twin: self.twin.run(cases).context("without a filter")?,
            peer: self.peer.run(cases).context("through nftables")?,
            filtered: self.filtered.run(cases).context("through sgd")?,
        })
    }

    fn batch(&mut self, policy: Policy, cases: &[Case]) -> Result<()> {
        let judge = Judge { combination: self.combination, policy };
        let three = self.three(cases)?;
        for case in cases {
            self.tally.cases += 1;
            self.tally.frames += case.frames() as u64;
            let [filtered, twin, _] = three.of(case.number);
            let place = usize::from(case.ends.family() == Family::V6);
            let may = filtered
                .iter()
                .filter(|seen| seen.by != By::Refusal && judge.judge(case, seen, filtered).is_ok());
            self.tally.delivered[place] += may.count() as u64;
            let must_not =
                twin.iter().filter(|seen| seen.by != By::Refusal && judge.judge(case, seen, twin).is_err());
            self.tally.forbidden[place] += must_not.count() as u64;
            if let Some((wrong, _)) = wrong(judge, case, three.of(case.number)) {
                self.note(judge, case, wrong)?;
            } else if blocked(judge, case, three.of(case.number)).is_some()
                && let Some(kind) = judge.kind(case)
            {
                *self.tally.kinds.entry(kind).or_default() += 1;
            }
            if self.plan.only.is_some() {
                println!("{}", text(judge, case, three.of(case.number)));
            }
        }
        Ok(())
    }

    /// Looks at a case that went wrong again, alone.
    fn note(&mut self, judge: Judge, case: &Case, found: Wrong) -> Result<()> {
        let key = (found, judge.policy, case.story);
        let known = self.tally.wrong.get(&key).copied().unwrap_or(0);
        // A datagram that did not arrive may have been lost otherwise; one that did has arrived.
        if found != Wrong::Blocked && known >= KEPT as u64 {
            *self.tally.wrong.entry(key).or_default() += 1;
            return Ok(());
        }
        let mut smallest = self.told_again(case);
        let mut three = self.three(std::slice::from_ref(&smallest))?;
        let again =
            wrong(judge, &smallest, three.of(smallest.number)).is_some_and(|(wrong, _)| wrong == found);
        if !again && found == Wrong::Blocked {
            return Ok(());
        }
        *self.tally.wrong.entry(key).or_default() += 1;
        self.tally.first.get_or_insert((self.tally.frames, self.start.elapsed()));
        if known >= KEPT as u64 {
            return Ok(());
        }
        let mut text_of = String::new();
        if again {
            let mut kept: Vec<usize> = (0..smallest.steps.len()).collect();
            for step in (0..smallest.steps.len()).rev() {
                let fewer: Vec<usize> = kept.iter().copied().filter(|&kept| kept != step).collect();
                let mut candidate = self.told_again(case);
                candidate.steps = fewer.iter().map(|&place| candidate.steps[place].clone()).collect();
                let result = self.three(std::slice::from_ref(&candidate))?;
                if wrong(judge, &candidate, result.of(candidate.number))
                    .is_some_and(|(wrong, _)| wrong == found)
                {
                    (kept, smallest, three) = (fewer, candidate, result);
                }
            }
            text_of = text(judge, &smallest, three.of(smallest.number));
        } else {
            let _ = writeln!(text_of, "{case}  alone, it does not happen again");
        }
        let (seed, place) = case.origin;
        let _ = writeln!(
            text_of,
            "  again: SG_RECEIVER_SEED={seed} SG_RECEIVER_CASE={place} … --test receiver -- --nocapture {}",
            self.combination
        );
        self.tally.findings.push(Finding { wrong: found, policy: judge.policy, text: text_of });
        Ok(())
    }

    /// The same case from another source.
    fn told_again(&mut self, case: &Case) -> Case {
        self.again = (self.again + 1) % AGAIN;
        Case::tell(case.origin, CASES - 1 - self.again, self.combination)
    }
}

/// What is wrong about a case, and with which datagram.
fn wrong<'a>(judge: Judge, case: &Case, three: [&'a [Seen]; 3]) -> Option<(Wrong, &'a Seen)> {
    let [filtered, ..] = three;
    if let Some(refusal) = judge.refused_wrongly(case, filtered) {
        return Some((Wrong::Refused, refusal));
    }
    for seen in filtered.iter().filter(|seen| seen.by != By::Refusal) {
        if let Err(why) = judge.judge(case, seen, filtered) {
            return Some((Wrong::Arrived(why), seen));
        }
    }
    let blocked = blocked(judge, case, three)?;
    judge.kind(case).is_none().then_some((Wrong::Blocked, blocked))
}

/// A datagram that did not arrive, though the rules accept it, nftables lets it pass, and without a filter it arrives.
fn blocked<'a>(judge: Judge, case: &Case, [filtered, twin, peer]: [&'a [Seen]; 3]) -> Option<&'a Seen> {
    twin.iter().filter(|seen| matches!(seen.by, By::Raw | By::Socket)).find(|seen| {
        let arrived = |all: &[Seen]| all.iter().any(|other| other.key() == seen.key());
        !arrived(filtered) && arrived(peer) && judge.judge(case, seen, twin).is_ok()
    })
}

fn text(judge: Judge, case: &Case, three: [&[Seen]; 3]) -> String {
    let mut text = format!("{}, policy {:?}: {case}", judge.combination, judge.policy);
    for (name, all) in
        ["behind the filter, it", "the twin without a filter", "behind nftables, it"].iter().zip(three)
    {
        let _ = write!(text, "{}", All(name, all));
    }
    if let Some((wrong, seen)) = wrong(judge, case, three) {
        let _ = writeln!(text, "  wrong: {wrong:?}: {seen}");
    }
    text
}

fn nft(host: &Host, ruleset: &str) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = host.spawn(&mut nft)?;
    child.stdin.take().context("no standard input")?.write_all(ruleset.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft failed: {}\n{ruleset}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Frames that are sent on one CPU are received in order: each has one queue of what veth devices received (`netif_rx`).
/// It ends with the value.
struct OneCpu(CpuSet);

impl OneCpu {
    fn pin() -> Result<Self> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let all: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| before.is_set(cpu) == Ok(true)).collect();
        ensure!(!all.is_empty(), "no CPU");
        let mut one = CpuSet::new();
        one.set(all[NEXT.fetch_add(1, Ordering::Relaxed) % all.len()])?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Self(before))
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        // The thread ends with the test.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
